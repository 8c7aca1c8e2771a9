// Package related writes the document in which a relying party names the origins
// that may use its passkeys though they are not under its domain (WebAuthn Level 3,
// §5.11). Which origins these are is configuration; that a place is one of them is
// decided where places are made, in package guard.
package related

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// Path is where browsers read the document: on the host that is the relying
// party's ID, over https, with status 200 and the type application/json.
const Path = "/.well-known/webauthn"

// maxLabels is how many different names browsers honour. Of a longer list they pass
// over the rest without a word.
const maxLabels = 5

// Document returns the JSON document that names the origins, each once and in
// order; for none, one that allows nobody. It refuses what browsers would pass over:
// all that is not https, and more than five different names in front of a public
// suffix. example.com and shop.example.co.uk have one name, "example".
func Document(origins []string) ([]byte, error) {
	list, labels := []string{}, []string{}
	for _, raw := range origins {
		origin, label, err := parse(raw)
		if err != nil {
			return nil, fmt.Errorf("related origin %q: %w", raw, err)
		}
		list, labels = append(list, origin), append(labels, label)
	}
	slices.Sort(list)
	slices.Sort(labels)
	if labels = slices.Compact(labels); len(labels) > maxLabels {
		return nil, fmt.Errorf("related origins of %d names (%s): browsers honour %d", len(labels), strings.Join(labels, ", "), maxLabels)
	}
	return json.Marshal(struct {
		Origins []string `json:"origins"`
	}{slices.Compact(list)})
}

var errForm = errors.New("write it as browsers do, like https://app.example.com, with a port only where it is not 443")

// parse returns the one spelling of an origin, and its registrable label.
func parse(raw string) (origin, label string, err error) {
	u, err := url.Parse(raw)
	// Whatever else an address may hold, a path or a user, it is no origin.
	if err != nil || !strings.EqualFold(raw, "https://"+u.Host) {
		return "", "", errForm
	}
	host := strings.ToLower(u.Host)
	name, port, found := strings.Cut(host, ":")
	if n, err := strconv.ParseUint(port, 10, 16); found && (err != nil || n == 0 || port[0] == '0') {
		return "", "", errForm
	}
	if !domain(name) {
		return "", "", errForm
	}
	registrable, err := publicsuffix.EffectiveTLDPlusOne(name)
	if err != nil {
		return "", "", fmt.Errorf("%s is no registered domain, nor under one", name)
	}
	label, _, _ = strings.Cut(registrable, ".")
	return "https://" + strings.TrimSuffix(host, ":443"), label, nil
}

// domain reports whether the name is a domain name in ASCII. Addresses are none:
// browsers read every name as one whose last label begins with a digit.
func domain(name string) bool {
	if len(name) > 253 {
		return false
	}
	last := ""
	for last = range strings.SplitSeq(name, ".") {
		if last == "" || len(last) > 63 || strings.Trim(last, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	return last[0] < '0' || last[0] > '9'
}
