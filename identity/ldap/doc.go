// Package ldap is the identity source of people in a directory: OpenLDAP, Active
// Directory, FreeIPA and others that speak LDAP (RFC 4511).
//
// A service account finds the person's entry; the person's own password is then tried by a
// bind under the entry's name, on a connection of its own that is used for nothing else.
// A person is the entry's immutable ID, never a name or an address: however they write
// their name, it is one account, and so it stays when the directory renames them.
//
// What comes from a form reaches the directory as the value of a filter alone, escaped.
// An empty password never does, because servers take a bind with one for anonymous and
// answer that it went well (RFC 4513 §5.1.2). Referrals are not followed and aliases not
// resolved, StartTLS that fails is an error, and each answer has a limit of time and of
// size. Unknown accounts cost the directory as many operations as others.
//
// It is the only importer of go-ldap.
package ldap
