//! Every refusal there is.

mod table;

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
    /// A package that was taken out of sale.
    PackageNotOnSale,
    /// The same authorization is being worked on.
    PaymentInFlight,
    /// The authorization has bought something before.
    PaymentAlreadyUsed,
    /// The origin could not be reached.
    OriginUnreachable,
    /// The origin did not answer in time.
    OriginTimeout,
    /// A tool's answer is too long for a result.
    AnswerTooLarge,
    /// An answer began, and is none.
    AnswerBroken,
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
    /// The key's account has fewer credits than the call costs.
    InsufficientCredits,
    /// A bearer token with our prefix that is no key.
    KeyUnknown,
    /// A key that was revoked, or rotated away.
    KeyRevoked,
    /// A key that test money paid for, where only real money is taken; or the other way round, to top it up.
    KeyOfAnotherKind,
    /// A `SIGN-IN-WITH-X` that proves nothing.
    SignInInvalid,
    /// A path that wants a key or a sign-in.
    SignInRequired,
    /// A purchase settled, and its key goes only to its buyer.
    PurchaseUnclaimed,
    /// This path has other methods.
    MethodNotAllowed,
    /// An operator's request that cannot be read.
    RequestMalformed,
    /// An idempotency key that was used for something else.
    IdempotencyMismatch,
    /// More credits are to be taken back than are unspent.
    NothingToRefund,
    /// Bodies of other requests fill the memory that there is for them.
    Overloaded,
}

impl Code {
    /// All of them, for documents and tests.
    pub const ALL: [Self; 60] = [
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
        Self::PackageNotOnSale,
        Self::PaymentInFlight,
        Self::PaymentAlreadyUsed,
        Self::OriginUnreachable,
        Self::OriginTimeout,
        Self::AnswerTooLarge,
        Self::AnswerBroken,
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
        Self::InsufficientCredits,
        Self::KeyUnknown,
        Self::KeyRevoked,
        Self::KeyOfAnotherKind,
        Self::SignInInvalid,
        Self::SignInRequired,
        Self::PurchaseUnclaimed,
        Self::MethodNotAllowed,
        Self::RequestMalformed,
        Self::IdempotencyMismatch,
        Self::NothingToRefund,
        Self::Overloaded,
    ];

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
            Self::PaymentInFlight | Self::OriginUnreachable | Self::Overloaded => Some(2),
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
