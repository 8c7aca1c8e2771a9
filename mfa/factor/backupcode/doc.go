// Package backupcode makes and checks sets of backup codes for the core.
//
// A code is 80 random bits, written as sixteen characters in groups of four. A
// set keeps one salt and one Argon2id hash per code, so that a try costs one
// hash whatever was entered. Which code was spent is decided by the core, inside
// its write; this package keeps nothing.
package backupcode
