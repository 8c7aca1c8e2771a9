// Package storetest is the suite that every store runs: the promises of package
// mfa's store interfaces, one by one, with many callers at once where a promise
// is about that, and after a restart where it is about lasting.
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) mfa.Store { … })
//		storetest.RunReopen(t, func(t *testing.T) (mfa.Store, func() mfa.Store) { … })
//		storetest.RunRetention(t, func(t *testing.T, now func() time.Time) mfa.Store { … })
//	}
package storetest
