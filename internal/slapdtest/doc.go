// Package slapdtest runs OpenLDAP's slapd, a real directory, for one test: people in
// groups, an account that may search, plain and TLS addresses, password locks.
//
//	d := slapdtest.Start(t)
//	d.Person("carol", "carol's own")
//	url := "ldap://" + d.Plain
//
// The people are alice and bob, of whom alice alone is an administrator there, and zoë;
// their passwords are "NAME's own". For tests alone. Where there is no slapd the test is
// skipped, or fails where CI=true.
package slapdtest
