// Package outbound is what everything that asks another HTTP server shares: a client
// that follows nobody elsewhere, answers of which no more is read than they may
// weigh, and what an answer means for another try.
package outbound
