package outbound

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// maxAnswer is the most that is read of an answer, and of its headers.
const maxAnswer = 64 << 10

// maxPatience is the most that a server can ask us to wait.
const maxPatience = 24 * time.Hour

// NewClient returns a client for one server. It follows no redirect: what we send is
// for that server and nobody to whom it may point. Roots are whose certificates
// hold; nil stands for the system's.
func NewClient(roots *x509.CertPool) *http.Client {
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            dialer.DialContext,
			ForceAttemptHTTP2:      true,
			TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:    10 * time.Second,
			MaxResponseHeaderBytes: maxAnswer,
			MaxIdleConnsPerHost:    4,
			IdleConnTimeout:        30 * time.Second,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Answer is what a server answered.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte // its beginning, where it is too long
}

// Do asks and reads the answer, whatever its status. The error is one of the network
// or of TLS; the address, which may have a credential in it, is not in its text.
func Do(c *http.Client, r *http.Request) (*Answer, error) {
	resp, err := c.Do(r)
	if e, ok := errors.AsType[*url.Error](err); ok {
		return nil, e.Err
	}
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	return &Answer{Status: resp.StatusCode, Header: resp.Header, Body: body}, nil
}

// OK reports whether the server did what it was asked.
func (a *Answer) OK() bool { return a.Status/100 == 2 }

// Temporary reports whether the same request may be answered otherwise later.
func (a *Answer) Temporary() bool {
	switch a.Status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	}
	return a.Status/100 == 5
}

// RetryAfter is how long the server asks us to wait; 0 where it does not.
func (a *Answer) RetryAfter(now time.Time) time.Duration {
	text := strings.TrimSpace(a.Header.Get("Retry-After"))
	var wait time.Duration
	if seconds, err := strconv.ParseInt(text, 10, 32); err == nil {
		wait = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(text); err == nil {
		wait = at.Sub(now)
	}
	return min(max(wait, 0), maxPatience)
}

// Broken reports whether an error of Do is one that another try may not meet: the
// network's. A certificate that does not hold will not hold then either.
func Broken(err error) bool {
	var (
		certificate *tls.CertificateVerificationError
		record      tls.RecordHeaderError
		network     net.Error
	)
	switch {
	case errors.As(err, &certificate), errors.As(err, &record):
		return false
	case errors.As(err, &network), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return true
	}
	return false
}

// CheckURL refuses an address to which nothing secret may go: one that is not https,
// but for this machine itself.
func CheckURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Opaque != "":
		return errors.New("is not an address; write for example: https://sms.example.com/send")
	case u.User != nil:
		return errors.New("has a user name or a password in it, which end up in logs; leave them out")
	case u.Fragment != "":
		return errors.New("has a # part, which is never sent; leave it out")
	case u.Scheme == "https", u.Scheme == "http" && loopback(u.Hostname()):
		return nil
	case u.Scheme == "http":
		return errors.New("begins with http, so codes would cross the network in the open; write https:// instead")
	}
	return errors.New("does not begin with https://; write for example: https://sms.example.com/send")
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
