package oidc

import "net/url"

// CheckEndpoint is checkEndpoint for an issuer as it is written.
func CheckEndpoint(issuer, text string) error {
	u, err := url.Parse(issuer)
	if err != nil {
		return err
	}
	return checkEndpoint(u, text)
}

// Address is address.
func Address(text string) string { return address(text) }
