// Package scale measures that what one person does costs the same whatever else the store
// holds: whole operations through the real gate, with real factors, on a store of 1,000
// users and on one of as many as -scale says, in turns, in both kinds of store.
//
//	make bench-scale                     # 1,000,000 users; prints the table of docs/benchmarks.md
//	go test ./e2e/scale -v -scale 50000  # fewer
package scale
