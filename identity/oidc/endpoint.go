package oidc

import (
	"errors"
	"net/netip"
	"net/url"
	"strings"
)

// loopback reports whether a host is this machine itself.
func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// private reports whether a host is an address that strangers cannot reach.
func private(host string) bool {
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return strings.HasSuffix(host, ".localhost")
	}
	ip = ip.Unmap()
	return ip.IsPrivate() || ip.IsLoopback() || ip.IsUnspecified() || !ip.IsGlobalUnicast()
}

// checkEndpoint refuses an address in a provider's description to which it must not send
// us: one that is not https, and one of a network of ours that the provider itself is
// not in (AC-211). For a provider on this machine both may be of this machine.
func checkEndpoint(issuer *url.URL, text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.Opaque != "" || u.User != nil || u.Fragment != "" {
		return errors.New("is not an address")
	}
	host, home := u.Hostname(), issuer.Hostname()
	switch {
	case loopback(home) && loopback(host) && (u.Scheme == "https" || u.Scheme == issuer.Scheme):
		return nil
	case u.Scheme != "https":
		return errors.New("does not begin with https://")
	case host == "localhost" || private(host) && !private(home):
		return errors.New("is on this machine or in a network of its own, and the issuer is not")
	}
	return nil
}
