package api_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// accessAt asks what a user meets at an address.
func accessAt(id mfa.UserID, address string) string {
	return admin + "/users/" + string(id) + "/access?url=" + url.QueryEscape(address)
}

// B32: which rule decides for a user at an address, step by step, with where each part of
// what is asked comes from; and nothing of the user changes.
func TestAdmin_B32_Access(t *testing.T) {
	o := newOffice(t)
	p := o.program()
	target := o.target()
	a := p.ask(http.MethodGet, accessAt(target.ID, "https://wiki.example.com/acme?token=secret#secret"), "", http.StatusOK)
	if a.text("user") != target.Name || a.text("url") != "https://wiki.example.com/acme" || a.text("host") != "wiki.example.com" || strings.Contains(string(a.raw), "secret") {
		t.Errorf("it is about %s", a.raw)
	}
	var steps []string
	for _, s := range a.body["steps"].([]any) {
		step := s.(map[string]any)
		word := step["stage"].(string) + "=" + step["action"].(string)
		if reason, ok := step["reason"].(string); ok {
			word += ":" + reason
		}
		if step["why"] == "" || step["decided"] == "" {
			t.Errorf("a step without words: %v", step)
		}
		steps = append(steps, word)
	}
	if got, want := strings.Join(steps, " "), "nobody=sign_in:no_session password=verify:not_verified factor=allow factor=allow"; got != want {
		t.Errorf("the steps are %s, want %s", got, want)
	}
	asks := map[string]string{}
	for _, one := range a.body["asks"].([]any) {
		ask := one.(map[string]any)
		asks[ask["what"].(string)] = ask["source"].(string) + " " + ask["of"].(string)
	}
	for what, from := range map[string]string{"fresh 5m": "route mfa /acme", "members of acme only": "route mfa /acme", "require on": "policy default"} {
		if asks[what] != from {
			t.Errorf("%s comes from %q, want %q: %v", what, asks[what], from, asks)
		}
	}
	if after := o.user(target.Name); after.GraceStarted != target.GraceStarted || after.EnrollmentOpened != target.EnrollmentOpened {
		t.Error("the question started a clock of the user")
	}
	a = p.ask(http.MethodGet, accessAt(target.ID, "https://wiki.example.com/open"), "", http.StatusOK)
	if len(a.body["steps"].([]any)) != 0 || len(a.body["notes"].([]any)) != 2 {
		t.Errorf("where no gate stands: %s", a.raw)
	}
	for path, status := range map[string]int{
		"/access": http.StatusBadRequest, "/access?url=": http.StatusBadRequest, "/access?url=a&url=b": http.StatusBadRequest,
		"/access?address=https%3A%2F%2Fwiki.example.com%2F": http.StatusBadRequest,
	} {
		p.ask(http.MethodGet, admin+"/users/"+string(target.ID)+path, "", status)
	}
	p.ask(http.MethodGet, accessAt("nobody", "https://wiki.example.com/"), "", http.StatusNotFound)
}

// AC-133: an address comes from whoever asks, may hold a password, and is not repeated
// where nothing is explained.
func TestAdmin_AC133_Access_RejectsAddresses(t *testing.T) {
	o := newOffice(t)
	p := o.program()
	target := o.target()
	const probe = "proberef"
	for name, address := range map[string]string{
		"credentials": "https://alice:" + probe + "@wiki.example.com/", "another scheme": "javascript:alert(" + probe + ")", "a file": "file:///" + probe,
		"another host": "https://" + probe + ".example.com/", "10 KiB": "https://wiki.example.com/" + strings.Repeat(probe, 1280), "a line break": "https://wiki.example.com/\r\n" + probe,
		"a zero byte": "https://wiki.example.com/\x00" + probe, "markup": `"><svg/onload=` + probe + `>`, "no host": "https:///" + probe, "words": probe,
	} {
		a := p.ask(http.MethodGet, accessAt(target.ID, address), "", http.StatusUnprocessableEntity)
		if a.reason() != "address" || a.text("field") != "url" || a.text("detail") == "" || strings.Contains(string(a.raw), probe) {
			t.Errorf("%s: %s", name, a.raw)
		}
	}
}

// AC-224: whoever administrates one organization learns neither the policy nor what other
// organizations' routes ask, and cannot tell from the answer who or which address there is.
func TestAdmin_AC224_Access_NotForOrganizations(t *testing.T) {
	o := newOffice(t)
	target := o.target()
	other := o.target()
	must(t, o.store.UpdateUser(t.Context(), other.ID, func(u *mfa.User) error { u.Organizations = []mfa.OrganizationID{"globex"}; return nil }))
	b := o.staff("acmeadmin", mfa.RoleNone, "acme")
	p := program{o, o.key("", "acme", 24*time.Hour, "users:read", "organizations:read")}
	var first string
	for _, id := range []mfa.UserID{target.ID, other.ID, "nobody"} {
		for _, address := range []string{"https://wiki.example.com/acme", "https://nowhere.example.com/", "x"} {
			a := b.ask(http.MethodGet, accessAt(id, address), "", http.StatusForbidden)
			if first == "" {
				first = string(a.raw)
			}
			if string(a.raw) != first || a.reason() != "not_allowed" {
				t.Errorf("%s at %s can be told apart: %s", id, address, a.raw)
			}
			p.ask(http.MethodGet, accessAt(id, address), "", http.StatusForbidden)
		}
	}
	// The auditor sees everything and changes nothing.
	o.staff("auditor", mfa.RoleAuditor).ask(http.MethodGet, accessAt(other.ID, "https://wiki.example.com/acme"), "", http.StatusOK)
}
