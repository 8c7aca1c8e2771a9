package doctor

import (
	"strconv"
	"time"

	"github.com/secondgate/secondgate/guard"
)

// Setup is what a running gateway's configuration says about where it stands.
type Setup struct {
	Insecure bool // insecure_http
	Domain   string
	InDomain bool // a protected host lies in it, or may
	Origin   string
	Plain    []string // sites where everybody is refused, because they are served over plain http
	Servers  []Server
	Troubles []Trouble
}

// Server is one that serves protected hosts.
type Server struct {
	Name   string
	Trusts bool // it has trusted proxies
	Strict bool // trusted_proxies_strict
}

// Trouble is a way in which another proxy asks about requests and gets no answer. Of what it
// sent there are names and lengths.
type Trouble struct {
	At      time.Time     `json:"at"` // the last time
	Count   int           `json:"count"`
	Dialect string        `json:"dialect"`
	Kind    string        `json:"kind"`             // "question", "peer", "unprotected"
	Header  string        `json:"header,omitempty"` // of a question
	What    string        `json:"what,omitempty"`
	Host    string        `json:"host,omitempty"` // of an unprotected one
	Peer    string        `json:"peer,omitempty"`
	Headers []guard.Shape `json:"headers,omitempty"`
}

// Check says what is wrong with a configuration, and with how other proxies ask.
func Check(s *Setup) []Finding {
	var list []Finding
	add := func(found Finding) { list = append(list, found) }
	if s.Insecure {
		add(find("insecure_http"))
	}
	for _, site := range s.Plain {
		add(find("plain_site", "site", site).trusting("10.0.0.5"))
	}
	if s.Domain != "" && !s.InDomain {
		add(find("domain_unused", "domain", s.Domain))
	}
	trusts := false
	for _, server := range s.Servers {
		trusts = trusts || server.Trusts
		if server.Trusts && !server.Strict {
			add(find("server_leftmost", "server", server.Name).with(caddyfile, "{\n\tservers {\n\t\ttrusted_proxies_strict\n\t}\n}\n"))
		}
	}
	if s.Origin != "" && trusts {
		add(find("origin_and_proxies", "origin", s.Origin))
	}
	for i := range s.Troubles {
		add(s.Troubles[i].finding())
	}
	return list
}

func (t *Trouble) finding() Finding {
	last, count := t.At.UTC().Format("2006-01-02 15:04:05 UTC"), strconv.Itoa(t.Count)
	switch t.Kind {
	case "peer":
		return find("peer", "peer", t.Peer, "dialect", t.Dialect, "time", last, "count", count).with(caddyfile, "mfa_portal {\n\tpeers "+peerWord(t.Peer)+"\n}\n")
	case "unprotected":
		return find("unprotected", "dialect", t.Dialect, "host", t.Host, "time", last, "count", count).with(caddyfile, "mfa_portal {\n\tprotect "+t.Host+"\n}\n")
	}
	return find("question", "dialect", t.Dialect, "header", t.Header, "what", t.What, "time", last, "count", count).asking(Proxy(t.Dialect))
}

func peerWord(peer string) string {
	if peer == "" {
		return "unix"
	}
	return peer
}
