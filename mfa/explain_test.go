package mfa_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// B32: every reason that a decision can have is told in words, and so is every action.
func TestExplain_B32_AllReasons(t *testing.T) {
	files := as[[]string](t)(filepath.Glob("*.go"))
	var found []mfa.Reason
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text := as[[]byte](t)(os.ReadFile(file))
		for _, m := range regexp.MustCompile(`(?m)^\t?(?:const )?Reason[A-Za-z]+ +Reason = "([a-z_]*)"`).FindAllSubmatch(text, -1) {
			found = append(found, mfa.Reason(m[1]))
		}
	}
	slices.Sort(found)
	if len(found) < 30 || !slices.Equal(found, mfa.Reasons()) {
		t.Errorf("there are the reasons %q, and words for %q", found, mfa.Reasons())
	}
	for action := mfa.Refuse; action <= mfa.Allow; action++ {
		for _, reason := range mfa.Reasons() {
			x := mfa.ExplainEvent(&mfa.Event{Name: mfa.EventDecision, Reason: action.String() + ":" + string(reason), UserName: "alice"})
			if text := x.Decided + x.Why + x.Help; x.Decided == "" || x.Help == "" || strings.Contains(text, "NAME") || strings.Contains(text, "no such reason") {
				t.Errorf("%s %s: %+v", action, reason, x)
			}
		}
	}
}

// B32: an ID leads to words; nobody but who may see the user gets them.
func TestAdministration_B32_Explain(t *testing.T) {
	w, _ := governed(t, mfa.PolicySettings{})
	_, _, out := w.alice()
	id := w.gate.NoteRefusal(t.Context(), w.at, out.Session, out.Subject, mfa.ReasonLoop)
	kept := w.events.Named(mfa.EventDecision)
	for i := range kept {
		kept[i].At = time.Now() // the store forgets by its own clock
	}
	must(t, w.store.AppendEvents(t.Context(), kept))
	x := as[*mfa.Explanation](t)(w.machine().Explain(t.Context(), strings.ToLower(id)))
	if x.Decided != "alice was refused" || x.Event.Decision != id || !strings.Contains(x.Why, "to and fro") {
		t.Errorf("%+v", x)
	}
	_, err := w.machine().Explain(t.Context(), "NOSUCHID")
	wants(t, err, mfa.ErrNotFound)
	_, err = w.gate.As(mfa.Actor{Powers: mfa.ReadPolicy}).Explain(t.Context(), id)
	wants(t, err, mfa.ErrNotAllowed)
	_, err = w.gate.As(mfa.Actor{Powers: mfa.ReadUsers, Organization: "acme"}).Explain(t.Context(), id)
	wants(t, err, mfa.ErrNotFound)
}
