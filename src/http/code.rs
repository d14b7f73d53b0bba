//! Every refusal there is, in one table: status, code, title, hint.

/// Every refusal there is. The code is stable: clients may match on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// No credential was sent: the challenge itself.
    PaymentRequired,
    /// The payment is on a network that this route does not take.
    WrongNetwork,
    /// The payment is in another token.
    WrongAsset,
    /// The payment goes to somebody else.
    WrongRecipient,
    /// Not exactly the price; `exact` means exact.
    WrongAmount,
    /// The echoed requirement was changed in another way.
    AcceptedMismatch,
    /// A scheme that this route does not offer.
    UnsupportedScheme,
    /// `validBefore` has passed.
    AuthorizationExpired,
    /// `validAfter` has not come.
    AuthorizationNotYetValid,
    /// Too little of the window is left to serve and settle in.
    AuthorizationExpiresTooSoon,
    /// The window ends further ahead than is kept track of.
    AuthorizationValidTooLong,
    /// A signature that no token accepts, or somebody else's.
    InvalidSignature,
    /// The facilitator's `/verify` said no.
    PaymentInvalid,
    /// The facilitator's `/settle` said a definite no.
    PaymentRefused,
    /// The path has two readings.
    PathNotCanonical,
    /// More than one way to pay at once.
    SeveralCredentials,
    /// A way to pay that this gateway does not take.
    CredentialNotSupported,
    /// The payment header is over the cap.
    PaymentTooLarge,
    /// Not standard, padded base64.
    PaymentNotBase64,
    /// Not a JSON object.
    PaymentNotJson,
    /// A JSON key twice: two parsers would read two payments.
    PaymentDuplicateKey,
    /// An `x402Version` that is not spoken here.
    UnsupportedVersion,
    /// A field is missing or of the wrong form.
    PaymentMalformed,
    /// The facilitator will not deal with this payer.
    PayerForbidden,
    /// TRACE and CONNECT: one echoes what only the origin may see, the other leads past the gate.
    MethodForbidden,
    /// No route under `DEFAULT = "deny"`.
    NoSuchRoute,
    /// The same authorization is being worked on.
    PaymentInFlight,
    /// The authorization has bought something before.
    PaymentAlreadyUsed,
    /// The origin could not be reached.
    OriginUnreachable,
    /// The origin did not answer in time.
    OriginTimeout,
    /// The configuration has mistakes: nothing is sold, nothing is free.
    NotConfigured,
    /// The facilitator could not verify; nothing has moved.
    VerificationUnavailable,
    /// Money may have moved; nobody knows yet.
    SettlementUnknown,
    /// Paid, and not answered yet.
    AnswerOwed,
    /// The ledger could not be reached; nothing has moved.
    StorageUnavailable,
    /// Whether it settled was never known, and its time is over.
    SettlementUnconfirmed,
    /// The `payment-identifier` stands for another payment, or for another request.
    IdentifierTaken,
    /// A failed payment that is still tried by itself.
    DebtNotDue,
    /// A `payment-identifier` that is none.
    IdentifierMalformed,
    /// The route wants a `payment-identifier`.
    IdentifierRequired,
    /// A body that is too large to be bound to a `payment-identifier`.
    BodyTooLarge,
    /// Deferred: `max_exposure` is reached.
    TooMuchUnsettled,
    /// Deferred: an earlier payment failed after its answer.
    PaymentOverdue,
    /// An operator's path without the operator's token.
    Unauthorized,
    /// No facilitator settles what is configured.
    NothingOnOffer,
}

impl Code {
    /// All of them, for documents and tests.
    pub const ALL: [Self; 45] = [
        Self::PaymentRequired,
        Self::WrongNetwork,
        Self::WrongAsset,
        Self::WrongRecipient,
        Self::WrongAmount,
        Self::AcceptedMismatch,
        Self::UnsupportedScheme,
        Self::AuthorizationExpired,
        Self::AuthorizationNotYetValid,
        Self::AuthorizationExpiresTooSoon,
        Self::AuthorizationValidTooLong,
        Self::InvalidSignature,
        Self::PaymentInvalid,
        Self::PaymentRefused,
        Self::PathNotCanonical,
        Self::SeveralCredentials,
        Self::CredentialNotSupported,
        Self::PaymentTooLarge,
        Self::PaymentNotBase64,
        Self::PaymentNotJson,
        Self::PaymentDuplicateKey,
        Self::UnsupportedVersion,
        Self::PaymentMalformed,
        Self::PayerForbidden,
        Self::MethodForbidden,
        Self::NoSuchRoute,
        Self::PaymentInFlight,
        Self::PaymentAlreadyUsed,
        Self::OriginUnreachable,
        Self::OriginTimeout,
        Self::NotConfigured,
        Self::VerificationUnavailable,
        Self::SettlementUnknown,
        Self::AnswerOwed,
        Self::StorageUnavailable,
        Self::SettlementUnconfirmed,
        Self::IdentifierTaken,
        Self::DebtNotDue,
        Self::IdentifierMalformed,
        Self::IdentifierRequired,
        Self::BodyTooLarge,
        Self::TooMuchUnsettled,
        Self::PaymentOverdue,
        Self::Unauthorized,
        Self::NothingOnOffer,
    ];

    /// The status, the code as it is written, the title and the hint.
    pub(super) const fn row(self) -> (u16, &'static str, &'static str, &'static str) {
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
                "This gateway takes no keys and no sign-in",
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
            Self::MethodForbidden => {
                (403, "method_forbidden", "This method is not passed on", "use another method than TRACE or CONNECT")
            }
            Self::NoSuchRoute => {
                (404, "no_such_route", "Nothing is served here", "see the API's documents for its routes")
            }
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
                "one payment buys one answer; ask again without a payment to be told the price",
            ),
            Self::OriginUnreachable => {
                (502, "origin_unreachable", "The API behind the gateway did not answer", "try again later")
            }
            Self::OriginTimeout => {
                (504, "origin_timeout", "The API behind the gateway took too long", "try again later")
            }
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
        }
    }

    /// The HTTP status.
    #[must_use]
    pub const fn status(self) -> u16 {
        self.row().0
    }

    /// The stable code.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.row().1
    }

    /// Seconds to wait, for what waiting cures.
    #[must_use]
    pub const fn retry_after(self) -> Option<u32> {
        match self {
            Self::PaymentInFlight | Self::OriginUnreachable => Some(2),
            Self::VerificationUnavailable
            | Self::StorageUnavailable
            | Self::SettlementUnknown
            | Self::AnswerOwed
            | Self::TooMuchUnsettled => Some(5),
            Self::NotConfigured | Self::NothingOnOffer => Some(60),
            _ => None,
        }
    }
}
