package mfa

import "time"

// APIKey lets a program administrate without a session.
type APIKey struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	// Hash is the SHA-256 of the secret part of the key. The secret has 256 bits of
	// chance, so that a slow hash would protect nothing more.
	Hash   []byte `json:"hash"`
	Powers Powers `json:"powers"`
	// Organization, where it is not empty, is the only one whose members it reaches.
	Organization OrganizationID `json:"organization,omitempty"`
	Created      time.Time      `json:"created"`
	Expires      time.Time      `json:"expires"`
	// By made it, and it ends with their role; empty: it was made on the machine itself.
	By     UserID `json:"by,omitempty"`
	ByName string `json:"by_name,omitempty"`
	// Of is the key that made it, and it ends with that one; empty: a person did.
	Of string `json:"of,omitempty"`
	// LastUsed is written once a minute at most.
	LastUsed    time.Time `json:"last_used,omitzero"`
	LastNetwork string    `json:"last_network,omitempty"`
}
