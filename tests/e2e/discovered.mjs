// What the tests of discovery share: the bazaar as its catalogue reads it, and origins that have documents of their own.

export * as bazaar from '@x402/extensions/bazaar';
