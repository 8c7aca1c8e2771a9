// Package pgtest runs PostgreSQL, a real server, for the tests of one package, and gives
// each test a database of its own.
//
//	func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }
//
//	url := pgtest.Database(t) // postgres://…, empty, gone when the test is over
//	s := pgtest.Start(t)      // a server of this test's own, to be killed and restarted
//
// For tests alone. Where there is no PostgreSQL the test is skipped, or fails where
// CI=true.
package pgtest
