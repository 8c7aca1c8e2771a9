// Package passkey carries out the two ceremonies of WebAuthn (Level 3, §7.1 and
// §7.2) for the core; the second of them for a user who is known, and for one whom
// only the passkey names.
//
// User verification is required, the origin is compared to the letter, and a
// credential is used only for the relying party that it was made for. The core
// keeps the state of a ceremony, takes it once, lets it expire, and sees to it
// that no two users share a credential ID; this package keeps nothing.
package passkey
