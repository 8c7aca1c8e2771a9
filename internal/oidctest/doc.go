// Package oidctest is an OpenID provider for tests: one client, people with passwords, a
// form in a browser, refresh tokens, sign-out from either side. It speaks the standard
// with the standard library alone, so that whoever tests a client against it does not
// test a library against itself; and it lies wherever a test tells it to (Lies).
//
//	p := oidctest.Start(t, oidctest.Config{})
//	answer := p.SignIn(t, location, "alice") // plays the browser; the query of the callback
//
// The people are alice and bob, whose password is Password. For tests alone: it keeps
// everything in memory and believes any redirect address unless it is given some.
package oidctest
