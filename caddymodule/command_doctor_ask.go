package caddymodule

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/secondgate/secondgate/doctor"
)

// outsider asks a host as a browser would: from the machine on which the command runs, which
// is the operator's. The gateway itself asks nobody.
type outsider struct {
	ctx     context.Context
	at      *url.URL
	proxy   doctor.Proxy
	perform func(op string, in adminRequest) (*adminAnswer, error)
}

// The bounds of one question.
const (
	askTime = 10 * time.Second
	maxSaid = 64 << 10
)

// examine adds to a report what the host makes of requests.
func (o *outsider) examine(report *doctor.Report) error {
	made, err := o.perform(opProbe, adminRequest{Probes: probesAtOnce})
	if err != nil {
		return err
	}
	if len(made.Probes) != probesAtOnce {
		return errors.New("reading the gateway's answer: it made no probes")
	}
	client := newOutside()
	defer client.CloseIdleConnections()
	report.URL = o.at.Scheme + "://" + o.at.Host

	heard := o.ask(client, "", made.Probes[0], "")
	seen, err := o.perform(opProbed, adminRequest{Probe: made.Probes[0]})
	if err != nil {
		return err
	}
	p := o.proxy
	if p == "" {
		p = doctor.Guess(seen.Facts, heard.Server)
	}
	report.Proxy, report.Facts = p, seen.Facts
	report.Add(doctor.Outside(heard, seen.Facts, p)...)
	if prefix := strings.TrimRight(o.at.Path, "/"); prefix != "" {
		o.ask(client, prefix, made.Probes[2], "")
		seen, err := o.perform(opProbed, adminRequest{Probe: made.Probes[2]})
		if err != nil {
			return err
		}
		report.Add(doctor.Prefix(prefix, seen.Facts)...)
	}
	if seen.Facts == nil {
		return nil // nothing more would be
	}
	report.Add(doctor.Again(o.ask(client, "", made.Probes[0], ""), p)...)
	o.ask(client, "", made.Probes[1], doctor.Forged)
	forged, err := o.perform(opProbed, adminRequest{Probe: made.Probes[1]})
	if err != nil {
		return err
	}
	report.Add(doctor.Forgery(forged.Facts)...)
	return nil
}

func newOutside() *http.Client {
	return &http.Client{
		Timeout: askTime,
		// Where an answer leads is a finding.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			// A proxy of this machine's own would be one that browsers do not have.
			Proxy: nil, ForceAttemptHTTP2: true, MaxResponseHeaderBytes: maxSaid,
			DialContext: (&net.Dialer{Timeout: askTime}).DialContext, TLSHandshakeTimeout: askTime,
		},
	}
}

// ask asks for a probe.
func (o *outsider) ask(client *http.Client, prefix, secret, forged string) *doctor.Heard {
	u := url.URL{Scheme: o.at.Scheme, Host: o.at.Host, Path: prefix + doctor.ProbePath + secret}
	h := &doctor.Heard{URL: o.at.Scheme + "://" + o.at.Host + prefix + doctor.ProbePath + "…", Scheme: u.Scheme, Host: u.Host, Path: u.EscapedPath(), Began: time.Now()}
	defer func() {
		if h.Ended.IsZero() {
			h.Ended = time.Now()
		}
	}()
	r, err := http.NewRequestWithContext(o.ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		h.Err = "it is no address"
		return h
	}
	r.Header.Set("User-Agent", "secondgate-doctor")
	r.Header.Set("Accept", "text/html,*/*;q=0.8")
	if forged != "" {
		r.Header.Set("X-Forwarded-For", forged)
	}
	resp, err := client.Do(r)
	if err != nil {
		h.Err = whyNot(err)
		return h
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxSaid))
	h.Ended = time.Now()
	if err != nil {
		h.Err = whyNot(err)
		return h
	}
	h.Status, h.Server, h.Body = resp.StatusCode, resp.Header.Get("Server"), string(body)
	h.NoStore = strings.Contains(resp.Header.Get("Cache-Control"), "no-store")
	if to, err := resp.Location(); err == nil {
		// The secret may stand in it again, and whatever else does is not for a terminal.
		h.Location = to.Scheme + "://" + to.Host
	}
	for _, c := range resp.Cookies() {
		h.Cookies = append(h.Cookies, doctor.Cookie{Name: c.Name, Domain: strings.TrimPrefix(c.Domain, "."), Path: c.Path, Secure: c.Secure, HTTPOnly: c.HttpOnly})
	}
	return h
}

// whyNot says why there was no answer, without the address that was asked.
func whyNot(err error) string {
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var certificate *tls.CertificateVerificationError
	var dns *net.DNSError
	var op *net.OpError
	switch {
	case errors.As(err, &unknown):
		return "its certificate is of an authority that this machine does not know"
	case errors.As(err, &name):
		return "its certificate is for another name"
	case errors.As(err, &invalid), errors.As(err, &certificate):
		return "its certificate is not good"
	case errors.As(err, &dns):
		return "its name is not known here"
	case errors.Is(err, context.DeadlineExceeded):
		return "there is no answer in time"
	case errors.As(err, &op) && op.Op == "dial":
		return "nobody answers there"
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return "there is no answer in time"
	}
	return "the connection broke off"
}
