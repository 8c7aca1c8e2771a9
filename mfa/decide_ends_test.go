package mfa

import (
	"fmt"
	"testing"
	"time"
)

// person walks on from a scene as a person would: verifies, sets up, skips, whatever the
// decision offers. Each way must end within eight pages: let in, refused with a reason, or
// at a page that says what is missing (behaviour.md §7). No decision may ask for what no
// step can give.
func (s *scene) person(t *testing.T, what string, pages int, trail string) {
	t.Helper()
	d := s.decide()
	trail += " → " + d.words()
	if pages > 8 {
		t.Fatalf("%s: no end in sight:%s", what, trail)
	}
	switch d.Action {
	case Refuse, Allow, SignIn:
		if d.Action == Refuse && d.Reason == "" {
			t.Fatalf("%s: refused without a reason:%s", what, trail)
		}
		return
	case Verify, StepUp:
		ways := 0
		for i := range s.subject.Held {
			h := s.subject.Held[i]
			if !d.Kinds.Has(h.Kind) || !h.Enrolled() || s.session.first(h.Kind, h.Address) || h.Kind == Passkey && h.RPID != s.place.RPID {
				continue
			}
			ways++
			next := s.copy()
			next.session.prove(Proof{Kind: h.Kind, Credential: h.ID, At: testNow, PhishingResistant: h.Kind == Passkey})
			next.person(t, what, pages+1, trail+" ("+string(h.Kind)+")")
		}
		// A verification that cannot be is a page of its own: it names the host, the wait
		// or support (B16). A step-up that cannot be is a circle.
		if ways == 0 && d.Action == StepUp {
			t.Fatalf("%s: nothing here steps up:%s", what, trail)
		}
	case SetUp:
		ways := 0
		for _, k := range d.Kinds.List() {
			if k == Passkey && s.place.RPID == "" {
				continue
			}
			ways++
			next := s.copy()
			h := Held{ID: CredentialID(fmt.Sprint("new", len(next.subject.Held))), Kind: k}
			switch k {
			case Passkey:
				h.RPID = s.place.RPID
			case BackupCode:
				h.ID, h.Left = BackupCodesID, CodesPerSet
			case Email, SMS:
				// The first time it is the address that signed in, where that is one.
				if h.Address = string(h.ID); s.session.First.Kind == k && !s.reaches(k, s.session.First.Address) {
					h.Address = s.session.First.Address
				}
			}
			next.subject.Held, next.subject.EverEnrolled = append(next.subject.Held, h), true
			next.session.Enrolled = true
			if k != BackupCode {
				next.session.prove(Proof{Kind: k, Credential: h.ID, At: testNow, PhishingResistant: k == Passkey})
			}
			next.person(t, what, pages+1, trail+" (sets up "+string(k)+")")
		}
		if ways == 0 && d.Kinds == 0 {
			t.Fatalf("%s: a set-up of nothing:%s", what, trail)
		}
		if d.Skippable {
			next := s.copy()
			next.session.Skipped = true
			switch {
			case d.Reason == ReasonNoCodes:
				next.subject.SkippedCodes = true
			case d.Reason != ReasonAddAnother && d.Reason != ReasonBypassed && s.policy.Optional:
				next.subject.SkippedPrompt = s.policy.Prompt.String()
			}
			next.person(t, what, pages+1, trail+" (skips)")
		}
	}
}

func (s *scene) copy() *scene {
	next := *s
	next.subject.Held = append([]Held(nil), s.subject.Held...)
	next.session.Proofs = append([]Proof(nil), s.session.Proofs...)
	return &next
}

func (s *scene) reaches(k Kind, address string) bool {
	for _, h := range s.subject.Held {
		if h.Kind == k && h.Address == address {
			return true
		}
	}
	return false
}

func TestDecide_EveryWayEnds(t *testing.T) {
	plainHTTP, elsewhere := *testPlace, *testPlace
	plainHTTP.RPID, plainHTTP.NoPasskey = "", ReasonPlainHTTP
	elsewhere.RPID = "other.example.com"
	needs := []Requirement{{}, {Fresh: time.Minute}, {PhishingResistant: true}, {Factors: KindsOf(TOTP)}, {Factors: KindsOf(Email)}, {Factors: KindsOf(Passkey), Fresh: time.Minute}}
	clubs := []*Organization{nil, acme(nil), acme(func(o *Organization) { o.PhishingResistant = true }), acme(func(o *Organization) { o.Factors, o.Fresh = KindsOf(TOTP), time.Minute })}
	cells := 0
	for _, factors := range []Kinds{KindsOf(Passkey, TOTP, BackupCode), KindsOf(TOTP, Email), KindsOf(Email, BackupCode), KindsOf(Passkey)} {
		for _, need := range needs {
			for _, club := range clubs {
				for _, place := range []*Place{testPlace, &plainHTTP, &elsewhere} {
					for _, held := range [][]Kind{nil, {TOTP}, {Passkey}, {Email}, {BackupCode}, {TOTP, Email}, {"retina"}} {
						for _, how := range []string{"", "bypass", "remembered", "provided"} {
							for bits := range 16 {
								s := newScene().holds(held...).enables(factors.List()...)
								s.place = place
								s.session.Complete = bits&1 != 0
								s.policy.Optional, s.session.AddAnother = bits&2 != 0, bits&4 != 0
								if bits&8 != 0 {
									s.by(Email, mailbox)
								}
								for i := range s.subject.Held {
									if s.subject.Held[i].Kind == Email {
										s.subject.Held[i].Address = mailbox
									}
								}
								switch how {
								case "bypass":
									s.bypassed()
								case "provided":
									s.provided(time.Hour, false)
								case "remembered":
									s.remembered(time.Hour, held...)
								}
								if club != nil {
									s.knows(club).of("acme")
								}
								// A half-done sign-in is finished by the gateway's own policy.
								if s.session.Complete {
									s.needs(need)
									if club != nil {
										s.on("acme")
									}
								}
								cells++
								s.person(t, fmt.Sprintf("factors %s, route %+v, organization %+v, RPID %q, held %v, %s, complete %v, optional %v, by mail %v",
									factors, need, club, place.RPID, held, how, s.session.Complete, s.policy.Optional, bits&8 != 0), 0, "")
							}
						}
					}
				}
			}
		}
	}
	if cells < 120_000 {
		t.Errorf("the walk has %d cells; did a dimension get lost?", cells)
	}
}
