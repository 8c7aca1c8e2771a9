// Package local is the identity source of accounts that this gateway keeps
// itself: a user name and a password.
//
// User names are lower-case ASCII letters, digits, dot, underscore and dash;
// upper case is folded, everything else refused, so that no two accounts look
// alike. Passwords are brought to NFC, measured in code points, held against a
// list of common ones and against words of their context, and kept as Argon2id.
//
// The list is our own: base words that people choose, which stand for themselves
// with digits, years and signs around them, with the usual letter swaps, and
// twice in a row; and walks over the keyboard. It is no copy of a list of
// breached passwords, and does not claim to hold every common one.
package local
