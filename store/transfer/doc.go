// Package transfer moves everything from a store into a backup, and from a backup or a
// store into another store, which may be of another kind, and shows afterwards that both
// hold the same.
//
//	rows := transfer.Store(ctx, source)             // or transfer.Archive(…)
//	_, err := transfer.Fill(ctx, rows, target, tell)
//	held, err := transfer.Compare(rows, transfer.Store(ctx, target), tell)
//	err = target.Filled(ctx, events)
//
// A transfer that was cut short begins with the first row again: what is there already is
// compared and left, and what is not there yet goes on.
package transfer
