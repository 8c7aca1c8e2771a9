package mfatest

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

func TestClock_MovesOnlyWhenTold(t *testing.T) {
	c := NewClock()
	start := c.Now()
	if !c.Now().Equal(start) {
		t.Error("the clock runs by itself")
	}
	c.Advance(time.Hour)
	c.Advance(-time.Minute)
	if got := c.Now().Sub(start); got != 59*time.Minute {
		t.Errorf("moved by %s, want 59m", got)
	}
	c.Set(start)
	if !c.Now().Equal(start) {
		t.Error("Set did not put it back")
	}
}

func TestEvents_KeepsWhatIsRecordedSideBySide(t *testing.T) {
	var r Events
	if r.Last() != (mfa.Event{}) {
		t.Error("an empty recorder has a last event")
	}
	var wg sync.WaitGroup
	for range 32 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			r.Record(context.Background(), mfa.Event{Name: mfa.EventVerify})
		}()
	}
	wg.Wait()
	r.Record(context.Background(), mfa.Event{Name: mfa.EventSignIn, OK: true})
	if len(r.All()) != 33 || len(r.Named(mfa.EventVerify)) != 32 || !r.Last().OK {
		t.Errorf("%d events, %d of them verify", len(r.All()), len(r.Named(mfa.EventVerify)))
	}
	r.Reset()
	if len(r.All()) != 0 {
		t.Error("Reset kept something")
	}
}

func TestPost_KeepsLetters(t *testing.T) {
	var p Post
	both := mfa.KindsOf(mfa.Email, mfa.SMS)
	if p.Channels() != both || p.Code("a@example.com") != "" || p.Link("a@example.com") != "" {
		t.Error("the zero post is not an empty one with both channels")
	}
	ctx := context.Background()
	for _, l := range []mfa.Letter{
		{To: "a@example.com", Code: mfa.Secret("11111111")},
		{To: "b@example.com", Code: mfa.Secret("22222222")},
		{To: "a@example.com", Link: mfa.Secret("https://example.com/link")},
		{To: "a@example.com", Kind: mfa.LetterNotice},
	} {
		if err := p.Send(ctx, &l); err != nil {
			t.Fatal(err)
		}
	}
	if len(p.All()) != 4 || len(p.To("a@example.com")) != 3 || p.Code("a@example.com") != "11111111" || p.Link("a@example.com") != "https://example.com/link" {
		t.Errorf("%d letters, code %q, link %q", len(p.All()), p.Code("a@example.com"), p.Link("a@example.com"))
	}
	p.Fail(mfa.ErrNotSent)
	if err := p.Send(ctx, &mfa.Letter{}); !errors.Is(err, mfa.ErrNotSent) || p.Queue(&mfa.Letter{}) || len(p.All()) != 4 {
		t.Errorf("a post that fails: %v, %d letters", err, len(p.All()))
	}
	p.Fail(nil)
	p.Off(mfa.SMS)
	if !p.Queue(&mfa.Letter{}) || p.Channels() != mfa.KindsOf(mfa.Email) {
		t.Errorf("channels %s", p.Channels())
	}
	if p.Reset(); len(p.All()) != 0 {
		t.Error("Reset kept something")
	}
}

func TestAuthenticator_RefusesWhatAnHonestOneWould(t *testing.T) {
	a := &Authenticator{Origin: "https://app.example.com"}
	if _, err := a.Enroll([]byte(`{"publicKey":{"rp":{"id":"example.com"},"user":{"id":"AA"},"challenge":"AA","pubKeyCredParams":[{"type":"public-key","alg":-257}]}}`), nil); err == nil {
		t.Error("it enrolled with an algorithm that was not offered")
	}
	if _, err := a.Verify([]byte(`{"publicKey":{"rpId":"example.com","challenge":"AA","allowCredentials":[{"id":"AAAA"}]}}`), nil); err == nil {
		t.Error("it signed with a credential that it does not hold")
	}
	if len(a.Keys()) != 0 {
		t.Error("a refused enrollment left a credential")
	}
}

func TestAuthenticator_OffersWhatItHoldsWhereNothingIsNamed(t *testing.T) {
	a := &Authenticator{Origin: "https://app.example.com"}
	enroll := func(rp, handle string) {
		t.Helper()
		options := `{"publicKey":{"rp":{"id":"` + rp + `"},"user":{"id":"` + handle + `"},"challenge":"AA","pubKeyCredParams":[{"type":"public-key","alg":-7}]}}`
		if _, err := a.Enroll([]byte(options), nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := a.Verify([]byte(`{"publicKey":{"rpId":"example.com","challenge":"AA"}}`), nil); err == nil {
		t.Error("it signed though it holds nothing")
	}
	enroll("example.com", "AQ")
	enroll("example.com", "Ag")
	enroll("example.org", "Aw")
	answer, err := a.Verify([]byte(`{"publicKey":{"rpId":"example.com","challenge":"AA"}}`), nil)
	if err != nil || !bytes.Contains(answer, []byte(`"userHandle":"Ag"`)) {
		t.Errorf("%s, %v, want the newest of the relying party", answer, err)
	}
}
