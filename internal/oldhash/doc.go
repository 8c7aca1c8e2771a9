// Package oldhash checks passwords against the hashes that other software has made, for
// people who moved in from there: bcrypt, SHA-2 crypt, PBKDF2, scrypt and Argon2, as
// Authelia, go-authcrunch, tinyauth and htpasswd write them.
//
// A hash is taken with its costs, and costs that would take this machine's memory or
// seconds of it are refused, when a hash is moved in and again each time it is checked: a
// hash in a file is what somebody else wrote (AC-208). What protects nothing is refused as
// well: plain text, MD5, SHA-1 without iterations, DES.
//
// It counts nobody: whoever calls Matches holds a slot of the process's hasher. Nothing
// here makes a hash; a password that was right is hashed anew with Argon2id.
package oldhash
