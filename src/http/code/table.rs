//! Status, code, title and hint of every refusal.

use super::Code;

impl Code {
    /// The status, the code as it is written, the title and the hint.
    pub(in crate::http) const fn row(self) -> (u16, &'static str, &'static str, &'static str) {
        match self {
            Self::PaymentRequired => (
                402,
                "payment_required",
                "Payment required",
                "sign one of the requirements in PAYMENT-REQUIRED (or `accepts`) and send it with the same request",
            ),
            Self::WrongNetwork => {
                (402, "wrong_network", "The payment is on another network", "use a network of `accepts`")
            }
            Self::WrongAsset => (402, "wrong_asset", "The payment is in another token", "use an asset of `accepts`"),
            Self::WrongRecipient => {
                (402, "wrong_recipient", "The payment goes to somebody else", "pay the `payTo` of the requirement")
            }
            Self::WrongAmount => {
                (402, "wrong_amount", "The payment is not the price", "sign exactly the `amount`, no more and no less")
            }
            Self::AcceptedMismatch => (
                402,
                "accepted_mismatch",
                "The accepted requirement is not one of ours",
                "copy the chosen entry of `accepts` into `accepted` unchanged",
            ),
            Self::UnsupportedScheme => {
                (402, "unsupported_scheme", "The scheme is not offered", "use a scheme of `accepts`")
            }
            Self::AuthorizationExpired => (
                402,
                "authorization_expired",
                "The authorization has expired",
                "sign a new one; validBefore is the time of signing plus maxTimeoutSeconds",
            ),
            Self::AuthorizationNotYetValid => {
                (402, "authorization_not_yet_valid", "The authorization is not valid yet", "sign with validAfter 0")
            }
            Self::AuthorizationExpiresTooSoon => (
                402,
                "authorization_expires_too_soon",
                "The authorization expires before it can settle",
                "sign a new one; validBefore is the time of signing plus maxTimeoutSeconds",
            ),
            Self::AuthorizationValidTooLong => (
                402,
                "authorization_valid_too_long",
                "The authorization is valid for too long",
                "sign a new one; validBefore is the time of signing plus maxTimeoutSeconds",
            ),
            Self::InvalidSignature => (
                402,
                "invalid_signature",
                "The signature is not the payer's",
                "sign the authorization with the key of `from`, low s, v 27 or 28, under the asset's EIP-712 domain",
            ),
            Self::PaymentInvalid => (
                402,
                "payment_invalid",
                "The facilitator found the payment invalid",
                "see `detail`; nothing was charged",
            ),
            Self::PaymentRefused => (
                402,
                "payment_refused",
                "The payment could not be settled",
                "see `detail`; nothing was charged, sign a new payment",
            ),
            Self::PathNotCanonical => (
                400,
                "path_not_canonical",
                "The path has more than one reading",
                "send the path without dot segments, doubled or encoded slashes, needless escapes or `;` parameters",
            ),
            Self::SeveralCredentials => (
                400,
                "several_credentials",
                "More than one credential",
                "send exactly one of PAYMENT-SIGNATURE, X-PAYMENT, SIGN-IN-WITH-X or a key",
            ),
            Self::CredentialNotSupported => (
                400,
                "credential_not_supported",
                "No keys and no sign-in are taken here",
                "pay with PAYMENT-SIGNATURE or X-PAYMENT",
            ),
            Self::PaymentTooLarge => {
                (400, "payment_too_large", "The payment header is too large", "keep it within 16384 bytes")
            }
            Self::PaymentNotBase64 => (
                400,
                "payment_not_base64",
                "The payment header is not base64",
                "use the standard alphabet (+ and /) with padding, once, in one header",
            ),
            Self::PaymentNotJson => {
                (400, "payment_not_json", "The payment is not a JSON object", "encode one JSON object as UTF-8")
            }
            Self::PaymentDuplicateKey => {
                (400, "payment_duplicate_key", "The payment has a key twice", "send every key once")
            }
            Self::UnsupportedVersion => (
                400,
                "unsupported_version",
                "The x402 version is not supported",
                "use x402Version 2 with PAYMENT-SIGNATURE, or 1 or 2 with X-PAYMENT",
            ),
            Self::PaymentMalformed => (
                400,
                "payment_malformed",
                "A field of the payment is missing or malformed",
                "see `detail`; numbers are decimal strings without sign or leading zeros",
            ),
            Self::PayerForbidden => {
                (403, "payer_forbidden", "The facilitator does not deal with this payer", "use another wallet")
            }
            Self::MethodForbidden => (
                403,
                "method_forbidden",
                "This method is not passed on",
                "send the method that you mean as the method; TRACE and CONNECT go nowhere",
            ),
            Self::NoSuchRoute => {
                (404, "no_such_route", "Nothing is served here", "see the API's documents for its routes")
            }
            Self::PackageNotOnSale => (
                410,
                "package_not_on_sale",
                "This package is not sold any more",
                "buy another one, or pay each call; keys that it has sold go on, and see GET /api/credits",
            ),
            Self::PaymentInFlight => (
                409,
                "payment_in_flight",
                "This payment is being processed",
                "wait for the first answer; one payment buys one answer",
            ),
            Self::PaymentAlreadyUsed => (
                409,
                "payment_already_used",
                "This payment has been used",
                "one payment buys one answer, and this may be the one that you lost: look at your receipts, and sign another only \
                 for another answer",
            ),
            Self::OriginUnreachable => {
                (502, "origin_unreachable", "The API behind the gateway did not answer", "try again later")
            }
            Self::OriginTimeout => {
                (504, "origin_timeout", "The API behind the gateway took too long", "try again later")
            }
            Self::AnswerTooLarge => (
                502,
                "answer_too_large",
                "The tool's answer is over 1 MiB",
                "ask for less of it; where the tool is a path of this API, call that over HTTP: answers stream there",
            ),
            Self::AnswerBroken => (
                502,
                "answer_broken",
                "The answer broke off, or is no answer to the call",
                "look at the receipt: without one nothing was charged, and the same payment may try again",
            ),
            Self::NotConfigured => (
                503,
                "not_configured",
                "The gateway is not configured",
                "its operator finds every mistake with `make check` and in the Worker's log",
            ),
            Self::VerificationUnavailable => (
                503,
                "verification_unavailable",
                "The payment could not be verified now",
                "nothing was charged; send the same payment again after Retry-After",
            ),
            Self::SettlementUnknown => (
                503,
                "settlement_unknown",
                "Whether the payment settled is not known yet",
                "do not sign a new payment; send the same one again after Retry-After",
            ),
            Self::AnswerOwed => (
                503,
                "answer_owed",
                "The payment settled and its answer is owed",
                "do not sign a new payment; send the same one again after Retry-After",
            ),
            Self::StorageUnavailable => (
                503,
                "storage_unavailable",
                "The payment could not be recorded now",
                "this request charged nothing; do not sign a new payment, send the same one again after Retry-After",
            ),
            Self::SettlementUnconfirmed => (
                409,
                "settlement_unconfirmed",
                "Whether this payment settled could not be established",
                "its time is over: look for its nonce on chain; if it moved money, show the transaction to the operator",
            ),
            Self::IdentifierTaken => (
                409,
                "identifier_taken",
                "This payment-identifier belongs to another payment or request",
                "send the first payment again, unchanged, with the same request; or use a new id for a new purchase",
            ),
            Self::DebtNotDue => (
                409,
                "debt_not_due",
                "This payment is still retried by itself",
                "put money into the wallet; it settles by itself until `retriedUntil`, and can be paid here afterwards",
            ),
            Self::IdentifierMalformed => (
                400,
                "identifier_malformed",
                "The payment-identifier is malformed",
                "16 to 128 letters, digits, _ or -",
            ),
            Self::IdentifierRequired => (
                400,
                "identifier_required",
                "This route wants a payment-identifier",
                "add extensions[\"payment-identifier\"].info.id to the payment: a new id for each purchase, the same for its retries",
            ),
            Self::BodyTooLarge => (
                413,
                "body_too_large",
                "The body is too large for a payment-identifier",
                "keep it within 1 MiB, or pay without an identifier",
            ),
            Self::TooMuchUnsettled => (
                429,
                "too_much_unsettled",
                "Too many of your payments are still settling",
                "send the same payment again after Retry-After",
            ),
            Self::PaymentOverdue => (
                403,
                "payment_overdue",
                "An earlier payment of this wallet failed after it was answered",
                "put money into the wallet while it is retried, or pay `debt.payPath` afterwards (an x402 resource for exactly the debt)",
            ),
            Self::Unauthorized => {
                (401, "unauthorized", "This path is the operator's", "send Authorization: Bearer with the ADMIN_TOKEN")
            }
            Self::NothingOnOffer => (
                503,
                "nothing_on_offer",
                "Nothing can be paid here now",
                "the facilitators settle none of the configured networks; the operator finds more in the log",
            ),
            Self::InsufficientCredits => (
                402,
                "insufficient_credits",
                "Too few credits",
                "buy more at `topUpUrl` (the same key beside the payment tops it up), or pay this call by one of `accepts`",
            ),
            Self::KeyUnknown => (
                401,
                "key_unknown",
                "This is no key of this service",
                "send the key exactly as it was given out; or send none, and be told the price",
            ),
            Self::KeyRevoked => {
                (403, "key_revoked", "This key has been revoked", "use the key that replaced it, or buy a new one")
            }
            Self::KeyOfAnotherKind => (
                403,
                "key_of_another_kind",
                "Test money and real money do not mix",
                "use a `_live_` key for what real money pays for, and a `_test_` key for the rest",
            ),
            Self::SignInInvalid => (
                402,
                "sign_in_invalid",
                "The sign-in proves nothing",
                "see `detail`; sign the message of extensions[\"sign-in-with-x\"] anew for each request, or pay",
            ),
            Self::SignInRequired => (
                401,
                "sign_in_required",
                "A key or a sign-in is wanted",
                "send Authorization: Bearer with a key, or SIGN-IN-WITH-X for `extensions[\"sign-in-with-x\"]`",
            ),
            Self::PurchaseUnclaimed => (
                409,
                "purchase_unclaimed",
                "This purchase is paid, and its key goes to its buyer alone",
                "do not pay again; send its payment-identifier, or sign in with the paying wallet at GET /api/credits",
            ),
            Self::MethodNotAllowed => (405, "method_not_allowed", "Another method is meant", "see the Allow header"),
            Self::RequestMalformed => (400, "request_malformed", "The request cannot be read", "see `detail`"),
            Self::IdempotencyMismatch => (
                409,
                "idempotency_mismatch",
                "This Idempotency-Key was used for another request",
                "use a new one for each new request, and the same for its retries",
            ),
            Self::Overloaded => (
                503,
                "overloaded",
                "Too much is being uploaded at once",
                "nothing was charged; send the same request again after Retry-After",
            ),
            Self::NothingToRefund => {
                (409, "nothing_to_refund", "Fewer credits are unspent than that", "take back at most `available`")
            }
        }
    }
}
