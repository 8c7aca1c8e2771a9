// Package archive is the form of a backup: one sealed file with everything that a store
// holds, whatever kind of store that is.
//
// # The file
//
//	magic     "secondgate backup\n"
//	header    its length (4 bytes, big-endian) and JSON in clear: Header
//	chunks    each: 4 bytes, of which the first bit says that it is the last one and the
//	          others how long it is; then as many bytes, sealed
//
// Each file has a random key of its own, and that key stands in the header, sealed with a
// key derived from the key set for this purpose alone. Chunks are sealed with AES-256-GCM.
// The nonce is the number of the chunk and whether it is the last; the additional data is
// the hash of everything before the first chunk. So chunks cannot be changed, left out,
// swapped, cut off, or taken from another file, and no byte of the header can be another
// one (this construction is known as STREAM: Hoang, Reyhanitabar, Rogaway, Vizár, 2015).
//
// What the chunks hold, put together, is a zstd stream of rows, each as table, ID and data
// with their lengths as uvarints before them. A row with an empty table is the end: its
// data is Totals, which the reader has counted meanwhile.
//
// Nothing here holds more than a chunk and a row in memory.
package archive
