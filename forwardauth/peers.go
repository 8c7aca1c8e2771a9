package forwardauth

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
)

// Peers are who may ask. The zero value is nobody. It is what the socket says that
// counts: whoever may ask says whatever he likes of everybody else.
type Peers struct {
	list []netip.Prefix
	unix bool
}

// Loopback are the peers where nothing else is configured: this machine.
var Loopback = []string{"127.0.0.0/8", "::1"}

// ParsePeers reads addresses ("10.0.0.5"), networks ("10.1.0.0/16") and "unix", which is
// whoever can open a Unix socket that the gateway listens on.
func ParsePeers(words []string) (Peers, error) {
	var p Peers
	for _, word := range words {
		if word == "unix" {
			p.unix = true
			continue
		}
		addr, err := netip.ParseAddr(word)
		if err == nil && addr.Zone() == "" {
			addr = addr.Unmap()
			p.list = append(p.list, netip.PrefixFrom(addr, addr.BitLen()))
			continue
		}
		network, err := netip.ParsePrefix(word)
		switch {
		case err != nil:
			return Peers{}, fmt.Errorf("peers: %q is neither an address, a network nor \"unix\"; write for example: peers 10.0.0.5 10.1.0.0/16", word)
		case network.Bits() == 0:
			return Peers{}, fmt.Errorf("peers: %q is everybody, and whoever may ask is believed in whatever he says; write the addresses of your proxies", word)
		}
		p.list = append(p.list, network.Masked())
	}
	return p, nil
}

// Allow reports whether the other end of the connection may ask. The address is that of
// net/http: without a port it is a Unix socket's.
func (p *Peers) Allow(remote string) bool {
	addr, err := netip.ParseAddrPort(remote)
	if err != nil {
		_, _, split := net.SplitHostPort(remote)
		return p.unix && split != nil && (remote == "" || remote == "@" || remote[0] == '/' || remote[0] == '@')
	}
	ip := addr.Addr().Unmap().WithZone("")
	return slices.ContainsFunc(p.list, func(network netip.Prefix) bool { return network.Contains(ip) })
}
