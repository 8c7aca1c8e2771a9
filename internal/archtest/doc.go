// Package archtest holds the architecture as tests: which package may import
// which, and which foreign library belongs to which package. It reads the files
// itself, so that no cache answers for them.
package archtest
