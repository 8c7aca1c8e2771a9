package pages

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/secondgate/secondgate/mfa"
)

// B32: each rule that can refuse somebody is told to administrators and to people, in
// every language, and no other is.
func TestWords_B32_EveryReason(t *testing.T) {
	c, err := loadWords()
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, reason := range mfa.Reasons() {
		if reason == mfa.ReasonNone {
			continue
		}
		known[becauseWords+string(reason)] = true
		if x := mfa.ExplainEvent(&mfa.Event{Reason: mfa.Refuse.String() + ":" + string(reason)}); x.Why == "" || strings.Contains(x.Why, "no such reason") {
			t.Errorf("administrators are not told what %q is", reason)
		}
		for _, l := range c.list {
			if l.texts[becauseWords+string(reason)] == "" {
				t.Errorf("%s: people are not told what %q is", l.Tag, reason)
			}
		}
	}
	for key := range c.list[0].texts {
		if strings.HasPrefix(key, becauseWords) && !known[key] {
			t.Errorf("%s is the word for no reason", key)
		}
	}
}

// B5, B32: whatever refuses, the page says why and whom to ask, and neither an
// organization nor a command nor where the rule stands.
func TestRefused_B32_SaysWhyAndNoMore(t *testing.T) {
	w := newWorld(t, acme)
	for _, reason := range mfa.Reasons() {
		rec := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, "https://payroll.example.com/x", nil)
		w.pages.Refused(rec, r, mfa.Decision{Reason: reason, ID: "K7PQ2M9XTA"})
		body := rec.Body.String()
		if rec.Code != http.StatusForbidden || !strings.Contains(body, "K7PQ2M9XTA") {
			t.Errorf("%s: %d without the ID", reason, rec.Code)
		}
		for _, private := range []string{"secondgate mfa", "organization", "phishing_resistant", "report_only", "configuration", "NAME", "acme"} {
			if strings.Contains(body, private) {
				t.Errorf("%s: the page says %q", reason, private)
			}
		}
	}
	rec := httptest.NewRecorder()
	w.pages.Refused(rec, httptest.NewRequest(http.MethodGet, "https://payroll.example.com/x", nil), mfa.Decision{Reason: mfa.ReasonNoPolicy, ID: "K7PQ2M9XTA"})
	if !strings.Contains(rec.Body.String(), "The rules can’t be read right now") {
		t.Error("the page does not say why")
	}
}
