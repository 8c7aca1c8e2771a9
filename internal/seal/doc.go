// Package seal keeps secrets at rest: the key file, keys derived from it for one
// purpose each, and a box that seals bytes so that they can be neither read nor
// changed nor moved to another place.
//
// The key file stands apart from what it protects: who copies the store alone
// has nothing. What the bytes mean, where they are kept and which place they
// belong to is for the callers to say (package store, package session).
package seal
