// Package store is what all stores share: how a record is written so that it can
// be read by its owner alone, in its own place alone, and by this version or a
// later one.
//
// A record is a version byte and a sealed JSON text. The table, the row and the
// version are bound into the seal: whoever can write the files of a store cannot
// give one user's secrets to another, put a record of one kind in the place of
// another, or pass an old form off as a new one. What sealing cannot prevent is
// that an older copy of the same row is put back; the stores guard against that
// as a whole, not row by row.
//
// Besides, what the stores would otherwise each have for themselves: the records of
// sessions, challenges and counters and how long they stay, lines in which writers wait
// (Stripes), and what a copy of a store consists of (Portable, Target). And what works on
// any of them: a Recorder, which writes events without anybody waiting for it, and a
// Rotation, which replaces the keys.
//
// Where records are kept, and how they are found, is for the packages below:
// package badger for one machine, package postgres for several gateways. Package
// storetest is the suite that shows that a store keeps its promises; the promises
// themselves stand in package mfa.
package store
