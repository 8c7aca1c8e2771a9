package mfa_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/mfa/mfatest"
)

const (
	alicesMail  = "alice@example.com"
	alicesPhone = "+4915112345678"
	otherMail   = "alice@other.example"
)

// lettered is a world whose policy has all factors.
func lettered(t *testing.T, change ...configured) *world {
	t.Helper()
	w := newWorld(t, change...)
	w.policy.Factors = mfa.KindsOf(mfa.Passkey, mfa.TOTP, mfa.SMS, mfa.Email)
	return w
}

// change changes a user's record as nobody may.
func (w *world) change(id mfa.UserID, f func(*mfa.User)) {
	w.t.Helper()
	must(w.t, w.store.UpdateUser(w.t.Context(), id, func(u *mfa.User) error { f(u); return nil }))
}

func (w *world) user(id mfa.UserID) *mfa.User {
	w.t.Helper()
	return as[*mfa.User](w.t)(w.store.User(w.t.Context(), id))
}

// addAddress sets an address up that is typed, by the code that is sent to it.
func (w *world) addAddress(id mfa.SessionID, k mfa.Kind, address string) *mfa.Outcome {
	w.t.Helper()
	_, to, err := w.gate.SetUpAddress(w.t.Context(), w.at, id, k, mfa.AddressInput{Typed: address}, false)
	if err != nil || to == nil {
		w.t.Fatalf("setting up %s: sent to %+v, %v", k, to, err)
	}
	return as[*mfa.Outcome](w.t)(w.gate.FinishAddress(w.t.Context(), w.at, id, k, w.post.Code(address)))
}

// mailed is a user whose second factor is a mailbox, not signed in.
func (w *world) mailed(name, address string) mfa.UserID {
	w.t.Helper()
	out := w.addAddress(w.invited(name).Session.ID, mfa.Email, address)
	w.wantsNext(out, nil, mfa.Allow, "")
	w.signOut(out.Session.ID)
	w.wait(time.Hour) // the budgets of the set-up are over
	w.post.Reset()
	return out.Session.User
}

// texted is the same with a number.
func (w *world) texted(name, number string) mfa.UserID {
	w.t.Helper()
	out := w.addAddress(w.invited(name).Session.ID, mfa.SMS, number)
	w.wantsNext(out, nil, mfa.Allow, "")
	w.signOut(out.Session.ID)
	w.wait(24 * time.Hour) // the budgets of the set-up are over
	w.post.Reset()
	return out.Session.User
}

// number makes a user whose second factor is a number, as if it had been set up long ago.
func (w *world) number(name, number string) {
	w.t.Helper()
	w.change(w.invited(name).Session.User, func(u *mfa.User) {
		u.Credentials = []mfa.Credential{{ID: "number", Kind: mfa.SMS, Address: number}}
	})
}

// half signs in with the password and returns the half-done session.
func (w *world) half(name string) mfa.SessionID {
	w.t.Helper()
	out, err := w.signIn(name)
	return w.wantsNext(out, err, mfa.Verify, mfa.ReasonNotVerified).Session.ID
}

// codes returns how many codes went to that address.
func (w *world) codesTo(address string) int {
	n := 0
	for _, l := range w.post.To(address) {
		if len(l.Code) > 0 {
			n++
		}
	}
	return n
}

func throttled(err error) bool {
	var e *mfa.ThrottledError
	return errors.As(err, &e)
}

// wrong is a code of the same length that is not this one.
func wrong(code string) string {
	last := code[len(code)-1]
	return code[:len(code)-1] + string('0'+(last-'0'+1)%10)
}

func TestGate_B22_SentCode(t *testing.T) {
	w, ctx := lettered(t), t.Context()
	w.mailed("alice", alicesMail)
	at := *w.at
	at.Language = "de"
	id := w.half("alice")
	first := as[*mfa.SentTo](t)(w.gate.SendCode(ctx, &at, id, mfa.Email, "", false))
	if first.Masked != "al****@example.com" || first.Expires.Sub(first.At) != 5*time.Minute || first.Again.Sub(first.At) != time.Minute {
		t.Errorf("%+v", first)
	}
	letters := w.post.To(alicesMail)
	if len(letters) != 1 {
		t.Fatalf("%d letters", len(letters))
	}
	if l := letters[0]; l.Kind != mfa.LetterVerify || l.Channel != mfa.Email || len(l.Code) != 8 || l.Life != 5*time.Minute || l.Origin != w.at.Origin || l.Language != "de" || l.UserName != "alice" {
		t.Errorf("AC-172 the letter says %+v", l)
	}
	// Reload, and two presses of the button.
	for _, again := range []bool{false, true, false, true} {
		same := as[*mfa.SentTo](t)(w.gate.SendCode(ctx, &at, id, mfa.Email, "", again))
		if *same != *first {
			t.Errorf("%+v, want %+v", same, first)
		}
	}
	w.wait(time.Minute - time.Second)
	as[*mfa.SentTo](t)(w.gate.SendCode(ctx, &at, id, mfa.Email, "", true))
	if n := w.codesTo(alicesMail); n != 1 {
		t.Fatalf("%d codes within a minute", n)
	}
	w.wait(time.Second)
	old := w.post.Code(alicesMail)
	as[*mfa.SentTo](t)(w.gate.SendCode(ctx, &at, id, mfa.Email, "", false))
	if n := w.codesTo(alicesMail); n != 1 {
		t.Error("a reload after a minute sends")
	}
	as[*mfa.SentTo](t)(w.gate.SendCode(ctx, &at, id, mfa.Email, "", true))
	if n := w.codesTo(alicesMail); n != 2 {
		t.Fatalf("%d codes after asking again", n)
	}
	_, err := w.gate.VerifySent(ctx, w.at, id, mfa.Email, old)
	wants(t, err, mfa.ErrRejected) // newest only
	out, err := w.gate.VerifySent(ctx, w.at, id, mfa.Email, w.post.Code(alicesMail))
	out = w.wantsNext(out, err, mfa.Allow, "")
	if !out.Session.Complete || len(out.Session.Sent) != 0 {
		t.Errorf("complete %v, codes kept: %d", out.Session.Complete, len(out.Session.Sent))
	}
	if c := w.user(out.Session.User).Credentials[0]; !c.LastUsed.Equal(w.clock()) {
		t.Error("B20 it does not count as last used")
	}
}

// B21: the page shows masked targets, each of them, and says what cannot be used.
func TestGate_B21_Methods(t *testing.T) {
	w, ctx := lettered(t), t.Context()
	out := w.addAddress(w.invited("alice").Session.ID, mfa.Email, alicesMail)
	out = w.addAddress(out.Session.ID, mfa.Email, otherMail)
	w.addAddress(out.Session.ID, mfa.SMS, alicesPhone)
	w.wait(time.Minute)
	st := as[*mfa.State](t)(w.gate.State(ctx, w.at, w.half("alice")))
	var seen []string
	for _, m := range st.Methods {
		seen = append(seen, fmt.Sprint(m.Kind, " ", m.Address, " ", m.Available))
	}
	if got, want := strings.Join(seen, ", "), "sms •••• 78 true, email al****@example.com true, email al****@other.example true"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if text := fmt.Sprintf("%+v", st.Methods); strings.Contains(text, alicesMail) || strings.Contains(text, alicesPhone) {
		t.Errorf("AC-119 an address is shown in full: %s", text)
	}
	w.post.Off(mfa.SMS)
	st = as[*mfa.State](t)(w.gate.State(ctx, w.at, w.half("alice")))
	if m := st.Methods[0]; m.Available || m.Why != mfa.ReasonNoSender {
		t.Errorf("B16 without a sender: %+v", m)
	}
}

// AC-100: a new code does not forgive what was guessed at the old one, whoever asks for
// it how often.
func TestGate_AC100_NewCodeOldCounter(t *testing.T) {
	w, ctx := lettered(t), t.Context()
	user := w.mailed("alice", alicesMail)
	id, compared, refused := w.half("alice"), 0, 0
	for range 60 {
		_, err := w.gate.SendCode(ctx, w.at, id, mfa.Email, "", true)
		if throttled(err) {
			refused++
		}
		code := w.post.Code(alicesMail)
		_, err = w.gate.VerifySent(ctx, w.elsewhere(fmt.Sprint("net", compared)), id, mfa.Email, wrong(code))
		switch {
		case throttled(err):
			refused++
		case errors.Is(err, mfa.ErrRejected):
			compared++
		case !errors.Is(err, mfa.ErrExpired):
			t.Fatal(err)
		}
		w.wait(time.Minute)
		if _, err := w.gate.State(ctx, w.at, id); errors.Is(err, mfa.ErrExpired) {
			id = w.half("alice")
		}
	}
	// The curve: five, then 30 s, 1, 2, 4, 8 min, then 15 min each: an hour holds 12 at
	// most.
	if compared > 13 || refused == 0 {
		t.Errorf("%d guesses in an hour were compared, %d refused", compared, refused)
	}
	for range 60 {
		if a := as[mfa.Attempts](t)(w.store.Attempts(ctx, "user:"+string(user)+":email")); a.Count != compared {
			t.Fatalf("counted %d of %d", a.Count, compared)
		}
	}
}

func TestGate_SentCode_FiveTriesFiveMinutes(t *testing.T) {
	w, ctx := lettered(t), t.Context()
	w.mailed("alice", alicesMail)
	id := w.half("alice")
	verify := func(code string) error {
		_, err := w.gate.VerifySent(ctx, w.at, id, mfa.Email, code)
		return err
	}
	wants(t, verify("12345678"), mfa.ErrExpired) // none is on its way, and nothing is counted
	as[*mfa.SentTo](t)(w.gate.SendCode(ctx, w.at, id, mfa.Email, "", false))
	for range mfa.SentCodeTries {
		wants(t, verify(wrong(w.post.Code(alicesMail))), mfa.ErrRejected)
	}
	must(t, mfatest.NewDesk(w.gate).Unlock(ctx, "alice")) // what is tested is the code's own limit
	wants(t, verify(w.post.Code(alicesMail)), mfa.ErrExpired)

	w.wait(time.Minute)
	as[*mfa.SentTo](t)(w.gate.SendCode(ctx, w.at, id, mfa.Email, "", false))
	w.wait(mfa.SentCodeLife)
	wants(t, verify(w.post.Code(alicesMail)), mfa.ErrExpired)
	as[*mfa.SentTo](t)(w.gate.SendCode(ctx, w.at, id, mfa.Email, "", false))
	if n := w.codesTo(alicesMail); n != 3 {
		t.Errorf("%d codes: an expired one keeps another from being sent", n)
	}
	w.wait(mfa.SentCodeLife - time.Second)
	// AC-108: the clock is set back by an hour; the code's time does not begin again.
	w.wait(-time.Hour)
	wants(t, verify(w.post.Code(alicesMail)), mfa.ErrExpired)
	w.wait(time.Hour)
	must(t, verify(w.post.Code(alicesMail)))
}

// A code is good for the session that asked for it, for its own channel, for the
// credential that it was sent to as that is now, and for verifying alone.
func TestGate_SentCode_IsBound(t *testing.T) {
	w, ctx := lettered(t), t.Context()
	out := w.addAddress(w.invited("alice").Session.ID, mfa.Email, alicesMail)
	out = w.addAddress(out.Session.ID, mfa.SMS, alicesPhone)
	user := out.Session.User
	w.wait(24 * time.Hour)
	one, two := w.half("alice"), w.half("alice")
	as[*mfa.SentTo](t)(w.gate.SendCode(ctx, w.at, one, mfa.Email, "", false))
	code := w.post.Code(alicesMail)
	_, err := w.gate.VerifySent(ctx, w.at, two, mfa.Email, code)
	wants(t, err, mfa.ErrExpired)
	w.wait(time.Second)
	as[*mfa.SentTo](t)(w.gate.SendCode(ctx, w.at, two, mfa.Email, "", false))
	_, err = w.gate.VerifySent(ctx, w.at, two, mfa.Email, code)
	wants(t, err, mfa.ErrRejected)
	_, err = w.gate.VerifySent(ctx, w.at, one, mfa.SMS, code)
	wants(t, err, mfa.ErrExpired)
	for _, k := range []mfa.Kind{mfa.TOTP, mfa.Passkey, mfa.BackupCode, mfa.Password, ""} {
		_, err = w.gate.VerifySent(ctx, w.at, one, k, code)
		wants(t, err, mfa.ErrNotAllowed)
	}
	// Set-up takes no code of a verification, nor does a confirmation.
	if _, err = w.gate.FinishAddress(ctx, w.at, one, mfa.Email, code); err == nil {
		t.Error("the code of a verification set something up")
	}
	_, err = w.gate.Confirm(ctx, w.at, one, code)
	wants(t, err, mfa.ErrNotOwed)

	// AC-152: removed, or given another address, since it was sent.
	for name, f := range map[string]func(*mfa.User){
		"another address": func(u *mfa.User) { u.Credentials[0].Address = otherMail },
		"another kind":    func(u *mfa.User) { u.Credentials[0].Kind = mfa.SMS },
		"removed":         func(u *mfa.User) { u.Credentials = u.Credentials[1:] },
	} {
		before := w.user(user).Credentials
		id := w.half("alice")
		w.wait(2 * time.Minute)
		as[*mfa.SentTo](t)(w.gate.SendCode(ctx, w.at, id, mfa.Email, "", false))
		w.change(user, f)
		if _, err = w.gate.VerifySent(ctx, w.at, id, mfa.Email, w.post.Code(alicesMail)); err == nil {
			t.Errorf("%s: the code verified", name)
		}
		w.change(user, func(u *mfa.User) { u.Credentials = before })
		w.wait(10 * time.Minute)
	}
	// Another session's, another user's: not a session's own address.
	_, err = w.gate.SendCode(ctx, w.at, w.half("alice"), mfa.Email, "nobody's", false)
	wants(t, err, mfa.ErrNotAllowed)
}

// AC-103: what people and phones make of a code is the code; nothing else is, and it
// works once whatever its spelling.
func TestGate_AC103_Spellings(t *testing.T) {
	w, ctx := lettered(t), t.Context()
	w.mailed("alice", alicesMail)
	send := func() (mfa.SessionID, string) {
		must(t, mfatest.NewDesk(w.gate).Unlock(ctx, "alice"))
		w.wait(time.Hour)
		id := w.half("alice")
		as[*mfa.SentTo](t)(w.gate.SendCode(ctx, w.at, id, mfa.Email, "", false))
		return id, w.post.Code(alicesMail)
	}
	for name, bend := range map[string]func(string) string{
		"spaces around":  func(c string) string { return " " + c + "  " },
		"in two groups":  func(c string) string { return c[:4] + " " + c[4:] },
		"dash":           func(c string) string { return c[:4] + "-" + c[4:] },
		"no-break space": func(c string) string { return c[:4] + "\u00a0" + c[4:] },
	} {
		id, code := send()
		out, err := w.gate.VerifySent(ctx, w.at, id, mfa.Email, bend(code))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if _, err := w.gate.VerifySent(ctx, w.at, out.Session.ID, mfa.Email, code); err == nil {
			t.Errorf("%s: the code worked again without", name)
		}
	}
	id, code := send()
	for i, bad := range []string{"0" + code, "+" + code, code + "\t", code + ".0", "[" + code + "]", `"` + code + `"`, code + "\x00", code[:7], code + code, "", " "} {
		if i%4 == 3 {
			id, code = send()
			bad = strings.ReplaceAll(bad, w.post.Code(alicesMail), code)
		}
		if out, err := w.gate.VerifySent(ctx, w.elsewhere(fmt.Sprint(i)), id, mfa.Email, bad); err == nil {
			t.Errorf("%q of %q was accepted: %v", bad, code, out)
		}
	}
	fullwidth := strings.Map(func(r rune) rune { return r - '0' + '０' }, code)
	if _, err := w.gate.VerifySent(ctx, w.elsewhere("full"), id, mfa.Email, fullwidth); err == nil {
		t.Error("full-width digits were accepted")
	}
}

// AC-171: budgets of one user and channel, of one number, and of the gateway.
func TestGate_AC171_Budgets(t *testing.T) {
	t.Run("user", func(t *testing.T) {
		w, ctx := lettered(t), t.Context()
		w.mailed("alice", alicesMail)
		var at []string
		start := w.clock()
		for range 75 {
			id := w.half("alice")
			if _, err := w.gate.SendCode(ctx, w.at, id, mfa.Email, "", false); err == nil {
				at = append(at, fmt.Sprint(w.clock().Sub(start).Minutes()))
			} else if !throttled(err) {
				t.Fatal(err)
			}
			w.wait(time.Minute)
		}
		// 3 in five minutes, 5 in ten, 15 in an hour.
		if got := strings.Join(at, " "); got != "0 1 2 5 6 10 11 12 15 16 20 21 22 25 26 60 61 62 65 66 70 71 72" {
			t.Errorf("sent at minutes %s", got)
		}
		if n := w.codesTo(alicesMail); n != len(at) {
			t.Errorf("I7: %d letters, %d sent", n, len(at))
		}
		if ok := w.recorded(mfa.EventSend, true); ok != len(at)+1 { // and that of the set-up
			t.Errorf("I7: %d events, %d sent", ok, len(at)+1)
		}
	})
	t.Run("number", func(t *testing.T) {
		w, ctx := lettered(t), t.Context()
		// The same number of several people: each has a budget, and the number has one.
		var names []string
		for i := range 4 {
			names = append(names, fmt.Sprint("user", i))
			w.texted(names[i], alicesPhone)
		}
		perHour := func() (sent int) {
			for i := range 12 {
				if _, err := w.gate.SendCode(ctx, w.at, w.half(names[i%4]), mfa.SMS, "", true); err == nil {
					sent++
				} else if !throttled(err) {
					t.Fatal(err)
				}
				w.wait(5 * time.Minute)
			}
			return sent
		}
		var hours []int
		sum := 0
		for range 6 {
			hours = append(hours, perHour())
			sum += hours[len(hours)-1]
		}
		// From browsers that nobody knows, 4 an hour and 7 a day; never more than 5 and 10.
		if fmt.Sprint(hours) != "[4 3 0 0 0 0]" || sum > 10 {
			t.Errorf("text messages by hour: %v", hours)
		}
	})
	t.Run("gateway", func(t *testing.T) {
		w, ctx := lettered(t, func(c *mfa.Config) { c.SMSPerDay = 6 }), t.Context()
		sent := 0
		for i := range 10 {
			name := fmt.Sprint("user", i)
			w.number(name, fmt.Sprintf("+4915112345%03d", i))
			_, err := w.gate.SendCode(ctx, w.at, w.half(name), mfa.SMS, "", false)
			switch {
			case err == nil:
				sent++
			case !throttled(err):
				t.Fatal(err)
			}
		}
		if sent != 6 || len(w.post.All()) != 6 {
			t.Errorf("%d text messages of 6 a day, %d letters", sent, len(w.post.All()))
		}
		// Half of them, and all: told once each.
		if told := w.events.Named(mfa.EventSendBudget); len(told) != 2 || !strings.Contains(told[0].Detail, "3 of 6") || !strings.Contains(told[1].Detail, "6 of 6") {
			t.Errorf("told: %+v", told)
		}
		// Other ways stay open.
		out := w.invited("bob")
		w.addPhone(out.Session.ID)
	})
}

// Whoever has the password alone uses up what strangers may send to alice. Her own
// browser has budgets of its own, on both channels.
func TestGate_AC097_KnownDeviceCanSend(t *testing.T) {
	for _, k := range []mfa.Kind{mfa.Email, mfa.SMS} {
		t.Run(string(k), func(t *testing.T) {
			w, ctx := lettered(t), t.Context()
			address := map[mfa.Kind]string{mfa.Email: alicesMail, mfa.SMS: alicesPhone}[k]
			if k == mfa.Email {
				w.mailed("alice", address)
			} else {
				w.texted("alice", address)
			}
			id := w.half("alice")
			as[*mfa.SentTo](t)(w.gate.SendCode(ctx, w.at, id, k, "", false))
			in := as[*mfa.Outcome](t)(w.gate.VerifySent(ctx, w.at, id, k, w.post.Code(address)))
			home := *w.at
			home.Devices = in.Device
			w.wait(24 * time.Hour)
			var later *mfa.ThrottledError
			for later == nil || later.RetryAfter < 15*time.Minute {
				_, err := w.gate.SendCode(ctx, w.elsewhere("bots"), w.half("alice"), k, "", true)
				if !errors.As(err, &later) {
					must(t, err)
				}
				w.wait(time.Minute)
			}
			out := as[*mfa.Outcome](t)(w.gate.SignIn(ctx, &home, "local", "alice", goodPassword))
			if _, err := w.gate.SendCode(ctx, &home, out.Session.ID, k, "", false); err != nil {
				t.Fatalf("her own browser: %v", err)
			}
			out, err := w.gate.VerifySent(ctx, &home, out.Session.ID, k, w.post.Code(address))
			w.wantsNext(out, err, mfa.Allow, "")
		})
	}
}

// AC-097, AC-171: strangers, who have proven nothing, ask for codes and links for alice
// all day long. Her second factor still reaches her, wherever she signs in, and so do
// notices.
func TestGate_AC097_StrangersDoNotUseUpLetters(t *testing.T) {
	for _, k := range []mfa.Kind{mfa.Email, mfa.SMS} {
		t.Run(string(k), func(t *testing.T) {
			w, ctx := lettered(t), t.Context()
			address := map[mfa.Kind]string{mfa.Email: alicesMail, mfa.SMS: alicesPhone}[k]
			var user mfa.UserID
			if k == mfa.Email {
				user = w.mailed("alice", address)
			} else {
				user = w.texted("alice", address)
			}
			for i := range 200 {
				at := w.elsewhere(fmt.Sprint("bot", i))
				_, _ = w.gate.SendSignInCode(ctx, at, address)
				_, _, _ = w.gate.BeginSignUp(ctx, at, mfa.SignUpInput{Name: address, Password: goodPassword})
				_ = w.gate.ForgotPassword(ctx, at, address, func(string) string { return "" })
				if i%20 == 0 {
					w.wait(time.Hour)
				}
			}
			most := map[mfa.Kind]int{mfa.Email: 20, mfa.SMS: 4}[k]
			if n := len(w.post.To(address)); n > most {
				t.Errorf("%d letters, want %d at most", n, most)
			}
			w.post.Reset()
			id := w.half("alice")
			as[*mfa.SentTo](t)(w.gate.SendCode(ctx, w.at, id, k, "", false))
			out := as[*mfa.Outcome](t)(w.gate.VerifySent(ctx, w.at, id, k, w.post.Code(address)))
			w.addPhone(out.Session.ID)
			told := false
			for _, l := range w.post.To(address) {
				told = told || l.Notice != nil && l.Notice.Kind == mfa.NoticeAdded
			}
			if !told {
				t.Error("that a factor was set up is not told")
			}
			_ = user
		})
	}
}

// AC-171: numbers of strangers use up half of the gateway's day at the most, and what is
// sent to nobody is not counted as sent.
func TestGate_AC171_StrangersDoNotUseUpTheDay(t *testing.T) {
	w, ctx := lettered(t, func(c *mfa.Config) { c.SMSPerDay = 8 }), t.Context()
	for i := range 20 {
		at := w.elsewhere(fmt.Sprint("bot", i))
		as[*mfa.Waiting](t)(w.gate.SendSignInCode(ctx, at, fmt.Sprintf("+4915112345%03d", i)))
	}
	if a := as[mfa.Attempts](t)(w.store.Attempts(ctx, "sendto:sms:1d")); a.Count != 0 || len(w.post.All()) != 0 {
		t.Errorf("%d text messages are counted, %d were sent", a.Count, len(w.post.All()))
	}
	for i := range 20 {
		at := w.elsewhere(fmt.Sprint("bots", i))
		_, _, err := w.gate.BeginSignUp(ctx, at, mfa.SignUpInput{Name: fmt.Sprintf("+4915112345%03d", i), Password: goodPassword})
		must(t, err)
	}
	if n := len(w.post.All()); n != 4 {
		t.Errorf("%d text messages to strangers of 8 a day, want 4", n)
	}
	if told := w.events.Named(mfa.EventSendBudget); len(told) != 1 {
		t.Errorf("half of the day's budget was told %d times", len(told))
	}
	w.number("alice", alicesPhone)
	as[*mfa.SentTo](t)(w.gate.SendCode(ctx, w.at, w.half("alice"), mfa.SMS, "", false))
}

// A post that fails: the code is dead, the next try sends another one at once, and other
// ways stay open.
func TestGate_SentCode_PostFails(t *testing.T) {
	w, ctx := lettered(t), t.Context()
	out := w.addAddress(w.invited("alice").Session.ID, mfa.Email, alicesMail)
	p, _ := w.addPhone(out.Session.ID)
	w.wait(time.Minute)
	w.post.Reset()
	id := w.half("alice")
	for _, fault := range []struct{ give, want error }{{mfa.ErrNotSent, mfa.ErrNotSent}, {mfa.ErrBusy, mfa.ErrBusy}, {errors.New("broken pipe"), mfa.ErrNotSent}, {context.Canceled, mfa.ErrNotSent}} {
		w.post.Fail(fault.give)
		_, err := w.gate.SendCode(ctx, w.at, id, mfa.Email, "", false)
		wants(t, err, fault.want)
		if e := w.events.Last(); e.Name != mfa.EventSend || e.OK || e.Reason == "" {
			t.Errorf("%+v", e)
		}
		if s := as[*mfa.Session](t)(w.store.Session(ctx, id)); len(s.Sent) != 0 {
			t.Error("a code that was not sent is waited for")
		}
		_, err = w.gate.VerifySent(ctx, w.at, id, mfa.Email, "12345678")
		wants(t, err, mfa.ErrExpired)
		w.wait(5 * time.Minute)
	}
	w.post.Fail(nil)
	as[*mfa.SentTo](t)(w.gate.SendCode(ctx, w.at, id, mfa.Email, "", false))
	if n := w.codesTo(alicesMail); n != 1 {
		t.Errorf("%d codes", n)
	}
	st := as[*mfa.State](t)(w.gate.State(ctx, w.at, id))
	if len(st.Methods) != 2 || !st.Methods[0].Available {
		t.Errorf("%+v", st.Methods)
	}
	in, err := w.gate.VerifyTOTP(ctx, w.at, id, p.code(w.clock()))
	w.wantsNext(in, err, mfa.Allow, "")
}

// The browser goes away while the letter is on its way, and with it the request's time.
// The code that was not sent must not be waited for.
func TestGate_SentCode_RequestEndsWhileSending(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	w := lettered(t, func(c *mfa.Config) { c.Post = &hangingUp{c.Post, cancel} })
	w.mailed("alice", alicesMail)
	id := w.half("alice")
	w.post.Fail(context.Canceled)
	if _, err := w.gate.SendCode(ctx, w.at, id, mfa.Email, "", false); !errors.Is(err, mfa.ErrNotSent) {
		t.Fatal(err)
	}
	if s := as[*mfa.Session](t)(w.store.Session(t.Context(), id)); len(s.Sent) != 0 {
		t.Error("a code that was not sent is waited for")
	}
}

type hangingUp struct {
	mfa.Post
	hangUp func()
}

func (h *hangingUp) Send(ctx context.Context, l *mfa.Letter) error {
	if l.Kind == mfa.LetterVerify {
		h.hangUp()
	}
	return h.Post.Send(ctx, l)
}

// I9: neither a code nor an address is in what is recorded.
func TestGate_Events_TellNoCodesAndNoAddresses(t *testing.T) {
	w, ctx := lettered(t), t.Context()
	w.mailed("alice", alicesMail)
	id := w.half("alice")
	as[*mfa.SentTo](t)(w.gate.SendCode(ctx, w.at, id, mfa.Email, "", false))
	code := w.post.Code(alicesMail)
	_, _ = w.gate.VerifySent(ctx, w.at, id, mfa.Email, wrong(code))
	as[*mfa.Outcome](t)(w.gate.VerifySent(ctx, w.at, id, mfa.Email, code))
	_, _ = w.gate.SendSignInCode(ctx, w.at, otherMail)
	_, _, _ = w.gate.BeginSignUp(ctx, w.at, mfa.SignUpInput{Name: alicesPhone, Password: goodPassword})
	_ = w.gate.ForgotPassword(ctx, w.at, alicesMail, func(token string) string { return token })
	for _, e := range w.events.All() {
		text := fmt.Sprintf("%+v", e)
		for _, secret := range []string{code, alicesMail, otherMail, alicesPhone, goodPassword} {
			if strings.Contains(text, secret) {
				t.Errorf("%q is in %s", secret, text)
			}
		}
	}
}

// I7: what the record says was sent was sent, to strangers as well.
func TestGate_I7_SentMeansSent(t *testing.T) {
	w, ctx := lettered(t), t.Context()
	w.signUp(alicesMail)
	w.wait(24 * time.Hour)
	w.post.Reset()
	w.events.Reset()
	for i := range 10 {
		at := w.elsewhere(fmt.Sprint("n", i))
		as[*mfa.Waiting](t)(w.gate.SendSignInCode(ctx, at, alicesMail))
		_, _, _ = w.gate.BeginSignUp(ctx, at, mfa.SignUpInput{Name: otherMail, Password: goodPassword})
		must(t, w.gate.ForgotPassword(ctx, at, alicesMail, func(string) string { return "" }))
	}
	w.post.Fail(mfa.ErrNotSent) // a full queue
	w.wait(24 * time.Hour)
	as[*mfa.Waiting](t)(w.gate.SendSignInCode(ctx, w.at, alicesMail))
	must(t, w.gate.ForgotPassword(ctx, w.at, alicesMail, func(string) string { return "" }))
	for _, c := range []struct {
		name mfa.EventName
		sent []mfa.LetterKind
	}{{mfa.EventSend, []mfa.LetterKind{mfa.LetterSignIn, mfa.LetterSignUp}}, {mfa.EventForgotten, []mfa.LetterKind{mfa.LetterPasswordReset}}} {
		letters := 0
		for _, l := range w.post.All() {
			for _, k := range c.sent {
				if l.Kind == k {
					letters++
				}
			}
		}
		if ok := w.recorded(c.name, true); ok != letters || letters == 0 {
			t.Errorf("%s: %d events, %d letters", c.name, ok, letters)
		}
	}
}

// A store that cannot tell whether a factor is locked is a fault, and no lock.
func TestGate_SentCode_FaultIsNoLock(t *testing.T) {
	f := &faulty{Store: newStore(t)}
	f.left.Store(-1)
	w := newWorldOn(t, f)
	w.everything()
	w.mailed("alice", alicesMail)
	id := w.half("alice")
	f.left.Store(3) // the session, the user, and then the counter
	_, err := w.gate.SendCode(t.Context(), w.at, id, mfa.Email, "", false)
	if !errors.Is(err, errFault) || throttled(err) {
		t.Errorf("%v", err)
	}
}

// AC-097, AC-171: Mallory has an account, as anybody may have, and sets alice's number and
// mailbox up as factors of theirs, which sends codes to her, from a browser that is well
// known for Mallory. Hers still reach her, in any browser; and the numbers that Mallory
// types use up half of the gateway's day at the most.
func TestGate_AC097_SetUpsDoNotUseUpLetters(t *testing.T) {
	for _, k := range []mfa.Kind{mfa.Email, mfa.SMS} {
		t.Run(string(k), func(t *testing.T) {
			w, ctx := lettered(t), t.Context()
			address := map[mfa.Kind]string{mfa.Email: alicesMail, mfa.SMS: alicesPhone}[k]
			if k == mfa.Email {
				w.mailed("alice", address)
			} else {
				w.texted("alice", address)
			}
			for i := range 12 {
				name := fmt.Sprint("mallory", i)
				p, out := w.addPhone(w.invited(name).Session.ID)
				at := *w.at
				at.Devices = out.Device
				for range 10 {
					w.wait(6 * time.Minute)
					in := as[*mfa.Outcome](t)(w.gate.SignIn(ctx, &at, "local", name, goodPassword))
					in = as[*mfa.Outcome](t)(w.gate.VerifyTOTP(ctx, &at, in.Session.ID, p.code(w.clock())))
					_, _, _ = w.gate.SetUpAddress(ctx, &at, in.Session.ID, k, mfa.AddressInput{Typed: address}, true)
				}
			}
			if n, most := w.codesTo(address), map[mfa.Kind]int{mfa.Email: 20, mfa.SMS: 4}[k]; n > most {
				t.Errorf("%d codes, want %d at most", n, most)
			}
			id := w.half("alice")
			as[*mfa.SentTo](t)(w.gate.SendCode(ctx, w.at, id, k, "", false))
			as[*mfa.Outcome](t)(w.gate.VerifySent(ctx, w.at, id, k, w.post.Code(address)))
		})
	}
	t.Run("the day", func(t *testing.T) {
		w := lettered(t, func(c *mfa.Config) { c.SMSPerDay = 8 })
		sent := 0
		for i := range 10 {
			err := w.setUp(w.invited(fmt.Sprint("mallory", i)).Session.ID, mfa.SMS, fmt.Sprintf("+4915112345%03d", i))
			if err == nil {
				sent++
			} else if !throttled(err) {
				t.Fatal(err)
			}
		}
		if sent != 4 {
			t.Errorf("%d of 8 text messages of a day went to numbers that nobody has proven, want 4", sent)
		}
	})
}
