// Package e2e tests the whole gateway from outside: the real program as a child
// process in a directory of its own, an app behind it that keeps every byte that
// reaches it, and in front of it a client in Go or a real browser.
//
// A test gets its own gateway with start; that takes a tenth of a second. Time is
// moved in the child through the test clock, which only a build with the tag
// testclock has. What a machine lacks (a browser, oathtool) skips the tests that
// need it with a line that says so; where CI=true it fails them.
//
//	gw := start(t, localhost)
//	c := gw.client(t)
//	alice := c.signUp("alice")       // link, password, authenticator app, codes
//	page := c.get("/reports")        // the app behind the gate
package e2e
