package pages

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/secondgate/secondgate/guard"
	"github.com/secondgate/secondgate/internal/web"
	"github.com/secondgate/secondgate/mfa"
)

// scene is one page in one state, with sample data. The viewer draws all of
// them, and TestScenes holds what every page owes.
type scene struct {
	name   string
	status int
	show   func(t testing.TB, w *world) answer
}

var sampleCodes = []string{
	"7K3M-Q2XV-9TRA-HB5N", "W4PD-8FYJ-C6E2-ZK1S", "M9RT-3HVX-5QAN-B7D4", "E2YC-K6PS-1WJF-T8G3", "X5NB-D7ZM-R4H9-Q3VA",
	"C8SJ-F1TE-6KYP-N2W5", "H3QV-9XRD-M7BA-E4KZ", "T6WF-2GCS-8NJY-P5H1", "B1ZK-V4ME-3DXT-R9QC", "N7AP-Y5HW-J2SF-6XGB",
}

var bothMethods = []mfa.Method{
	{Kind: mfa.Passkey, Available: true}, {Kind: mfa.TOTP, Available: true}, {Kind: mfa.BackupCode, Available: true, Left: 8},
}

var verifyDecision = mfa.Decision{Action: mfa.Verify, Reason: mfa.ReasonNotVerified, Kinds: mfa.KindsOf(mfa.Passkey, mfa.TOTP, mfa.SMS, mfa.Email, mfa.BackupCode)}

func forced(kinds ...mfa.Kind) mfa.Decision {
	return mfa.Decision{Action: mfa.SetUp, Reason: mfa.ReasonNothingSetUp, Kinds: mfa.KindsOf(kinds...)}
}

var bothChoices = []mfa.Choice{{Kind: mfa.Passkey, Available: true}, {Kind: mfa.TOTP, Available: true}}

func sampleAccount(creds ...mfa.Credential) *mfa.Account {
	left := 0
	for _, c := range creds {
		left += c.Left
	}
	return &mfa.Account{
		UserName: "alice", DisplayName: "Alice Example", Email: "alice@example.com", EmailVerified: true,
		Credentials: creds, CodesLeft: left, CodesOffered: true, Required: true, LocalPassword: true, Local: true, CanEmail: true, Choices: bothChoices,
		Sessions: []mfa.SessionInfo{
			{Handle: "a1", Current: true, Host: "payroll.example.com", Agent: "Firefox on Linux", Network: "203.0.113.0/24", LastSeen: testNow},
			{Handle: "b2", Host: "payroll.example.com", Agent: "Safari on iPhone", Network: "2001:db8:4::/64", LastSeen: testNow.Add(-5 * time.Hour)},
			{Handle: "c3", Host: "payroll.example.com", Agent: "", Network: "unknown", LastSeen: testNow.Add(-72 * time.Hour)},
		},
	}
}

var (
	samplePasskey = mfa.Credential{ID: "p1", Kind: mfa.Passkey, Name: "Firefox on Linux", RPID: "payroll.example.com", Created: testNow.Add(-90 * 24 * time.Hour), LastUsed: testNow.Add(-2 * time.Hour)}
	sampleOther   = mfa.Credential{ID: "p2", Kind: mfa.Passkey, Name: "Key on the key ring", RPID: "wiki.example.com", Created: testNow.Add(-400 * 24 * time.Hour)}
	sampleTOTP    = mfa.Credential{ID: "t1", Kind: mfa.TOTP, Name: "Authenticator app", Created: testNow.Add(-60 * 24 * time.Hour), LastUsed: testNow.Add(-9 * 24 * time.Hour)}
	sampleSet     = mfa.Credential{ID: mfa.BackupCodesID, Kind: mfa.BackupCode, Created: testNow.Add(-60 * 24 * time.Hour), Left: 8}
)

func getting(path string, prepare func(*world)) func(testing.TB, *world) answer {
	return func(_ testing.TB, w *world) answer {
		if prepare != nil {
			prepare(w)
		}
		return w.get(path)
	}
}

func posting(path string, form url.Values, prepare func(*world)) func(testing.TB, *world) answer {
	return func(t testing.TB, w *world) answer {
		if prepare != nil {
			prepare(w)
		}
		return w.post(t, path, form)
	}
}

// refusing shows an answer that guard asks for on an app's own path.
func refusing(answerWith func(*world, http.ResponseWriter, *http.Request)) func(testing.TB, *world) answer {
	return func(_ testing.TB, w *world) answer {
		rec := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, "https://payroll.example.com/reports/2026?month=11", nil)
		answerWith(w, rec, r)
		return answer{rec.Result(), rec.Body.String()}
	}
}

func verifying(methods ...mfa.Method) func(*world) {
	return func(w *world) {
		st := w.halfDone(verifyDecision)
		st.Methods = methods
		for _, m := range methods {
			if m.Available {
				st.Preferred = m.Kind
				break
			}
		}
	}
}

func failing(err error, methods ...mfa.Method) func(*world) {
	return func(w *world) {
		verifying(methods...)(w)
		w.gate.err = err
	}
}

func settingUp(d mfa.Decision, choices ...mfa.Choice) func(*world) {
	return func(w *world) {
		w.halfDone(d).Choices = choices
		w.gate.codes = sampleCodes
	}
}

func signInCodes(kinds ...mfa.Kind) func(*world) {
	return func(w *world) { w.gate.signIn = mfa.KindsOf(kinds...) }
}

// onItsWay is a code that was sent just now.
func onItsWay(purpose mfa.Purpose, k mfa.Kind) *mfa.Waiting {
	to := "alice@example.com"
	if k == mfa.SMS {
		to = "+49 171 3920012"
	}
	return &mfa.Waiting{ID: "waiting-1", Purpose: purpose, SentTo: mfa.SentTo{
		Kind: k, Masked: to, At: testNow, Expires: testNow.Add(mfa.SentCodeLife), Again: testNow.Add(mfa.SendAgain),
	}}
}

// waited is a code that was sent a while ago.
func waited(w *mfa.Waiting) *mfa.Waiting {
	w.At, w.Again = w.At.Add(-2*time.Minute), w.Again.Add(-2*time.Minute)
	return w
}

// entering shows the page for a code on its way, or what a try at it leads to.
func entering(path string, sent *mfa.Waiting, err error) func(testing.TB, *world) answer {
	return func(t testing.TB, w *world) answer {
		w.gate.everything()
		w.gate.waiting, w.gate.err = sent, err
		cookie := testCookies.Name(web.WaitingCookie) + "=" + sent.ID
		if err == nil {
			return w.get(path, cookie)
		}
		if !errors.Is(err, mfa.ErrExpired) {
			w.gate.again = sent
		}
		r := w.postRequest(t, path, url.Values{"code": {"12345678"}, "address": {sent.Masked}})
		r.Header.Add("Cookie", cookie)
		return w.do(r)
	}
}

// sampleNotices are one of each kind, oldest first.
var sampleNotices = []mfa.Notice{
	{Kind: mfa.NoticeAdded, At: testNow.Add(-80 * time.Hour), Factor: mfa.Passkey, Name: "Firefox on Linux", Agent: "Firefox on Linux"},
	{Kind: mfa.NoticeRemoved, At: testNow.Add(-70 * time.Hour), Factor: mfa.TOTP, Name: "Authenticator app", Agent: "Safari on iPhone"},
	{Kind: mfa.NoticeNewCodes, At: testNow.Add(-60 * time.Hour), Factor: mfa.BackupCode, Agent: "Safari on iPhone"},
	{Kind: mfa.NoticeCodeUsed, At: testNow.Add(-50 * time.Hour), Factor: mfa.BackupCode, Agent: "Unknown browser"},
	{Kind: mfa.NoticePassword, At: testNow.Add(-40 * time.Hour), Factor: mfa.Password, Agent: "Chrome on Windows"},
	{Kind: mfa.NoticeOptedOut, At: testNow.Add(-30 * time.Hour), Agent: "Chrome on Windows"},
	{Kind: mfa.NoticeCloned, At: testNow.Add(-20 * time.Hour), Factor: mfa.Passkey, Agent: "Chrome on Windows"},
	{Kind: mfa.NoticeLocked, At: testNow.Add(-10 * time.Hour), Factor: mfa.TOTP, Agent: "Chrome on Windows"},
	{Kind: mfa.NoticeReset, At: testNow.Add(-5 * time.Hour)},
	{Kind: mfa.NoticeCodesLow, At: testNow.Add(-4 * time.Hour), Factor: mfa.BackupCode, Agent: "Safari on iPhone"},
	{Kind: mfa.NoticeNewDevice, At: testNow.Add(-3 * time.Hour), Agent: "Chrome on Windows"},
	{Kind: mfa.NoticeStolenDevice, At: testNow.Add(-2 * time.Hour), Name: "Firefox on Linux", Agent: "Chrome on Windows"},
}

// sentTo is a code on its way since a while ago.
func sentTo(m mfa.Method, ago time.Duration) *mfa.SentTo {
	at := testNow.Add(-ago)
	return &mfa.SentTo{Kind: m.Kind, Masked: m.Address, Credential: m.Credential, At: at, Expires: at.Add(mfa.SentCodeLife), Again: at.Add(mfa.SendAgain)}
}

// underWay puts a code into the session, so that a page that only looks finds it.
func underWay(w *world, purpose mfa.LetterKind, m mfa.Method, ago time.Duration) {
	to := sentTo(m, ago)
	w.gate.to = to
	w.gate.state.Session.Sent = []mfa.SentCode{{
		Purpose: purpose, Kind: m.Kind, Address: "alice@example.com", Credential: m.Credential, At: to.At, Expires: to.Expires,
	}}
}

// mailing is verifying with a code on its way to the first method.
func mailing(ago time.Duration, err error, methods ...mfa.Method) func(*world) {
	return func(w *world) {
		verifying(methods...)(w)
		underWay(w, mfa.LetterVerify, methods[0], ago)
		w.gate.err = err
	}
}

// notSending is verifying where nothing goes out.
func notSending(err error, methods ...mfa.Method) func(*world) {
	return func(w *world) {
		verifying(methods...)(w)
		w.gate.sendOf = err
	}
}

// remembering lets the browser stand for what is proven next.
func remembering(prepare func(*world)) func(*world) {
	return func(w *world) {
		prepare(w)
		w.gate.state.RememberFor = 30 * 24 * time.Hour
	}
}

// settingUpAddress is a set-up with a code on its way, sent ago, or none.
func settingUpAddress(k mfa.Kind, masked string, ago time.Duration, err error) func(*world) {
	return func(w *world) {
		settingUp(forced(mfa.Passkey, mfa.TOTP, mfa.SMS, mfa.Email), allChoices...)(w)
		underWay(w, mfa.LetterSetUp, mfa.Method{Kind: k, Address: masked}, ago)
		w.gate.err = err
		if ago >= mfa.SentCodeLife {
			w.gate.pendingOf = mfa.ErrExpired
		}
	}
}

// confirming is a first set-up that needs a code to the address on file.
func confirming(ago time.Duration, err error) func(*world) {
	return func(w *world) {
		settingUp(forced(mfa.Passkey, mfa.TOTP), bothChoices...)(w)
		w.gate.state.Confirm = emailMethod.Address
		underWay(w, mfa.LetterSetUp, mfa.Method{Kind: mfa.Email, Credential: "confirmation", Address: emailMethod.Address}, ago)
		w.gate.err = err
	}
}

// another is the offer of one more second step, where the e-mail address is there.
func another(skippable bool) func(*world) {
	return func(w *world) {
		d := mfa.Decision{Action: mfa.SetUp, Reason: mfa.ReasonAddAnother, Kinds: mfa.KindsOf(mfa.Passkey, mfa.TOTP), Skippable: skippable}
		settingUp(d, bothChoices...)(w)
		w.gate.state.Subject = alice(mfa.Held{ID: "e1", Kind: mfa.Email, Address: "alice@example.com"})
		w.gate.state.Session.Enrolled = true
		if !skippable {
			w.gate.state.Session.First = mfa.Proof{Kind: mfa.Email, Address: "alice@example.com", At: testNow}
		}
	}
}

// fullAccount has as much as an account can have.
func fullAccount(w *world) {
	w.signedIn(mfa.Decision{Action: mfa.Allow})
	var creds []mfa.Credential
	for i := range mfa.MaxPasskeys {
		c := samplePasskey
		c.ID, c.Name = mfa.CredentialID(fmt.Sprintf("0123456789abcdefghij%02d", i)), strings.Repeat("A long name ", 5)[:mfa.MaxName-4]
		creds = append(creds, c)
	}
	for i := range mfa.MaxTOTP {
		c := sampleTOTP
		c.ID, c.Name = mfa.CredentialID(fmt.Sprintf("0123456789klmnopqrst%02d", i)), fmt.Sprintf("Authenticator app %d", i+1)
		creds = append(creds, c)
	}
	w.gate.account = sampleAccount(append(creds, sampleSet)...)
	w.gate.activity = sampleActivity
	a := w.gate.account
	a.Notices, a.PutAway = slices.Repeat(sampleNotices, 3)[:mfa.MaxNotices], true
	for i := range mfa.MaxAddresses {
		e, s := sampleEmail, sampleSMS
		e.ID, s.ID = mfa.CredentialID(fmt.Sprintf("0123456789uvwxyzabcd%02d", i)), mfa.CredentialID(fmt.Sprintf("0123456789ABCDEFGHIJ%02d", i))
		a.Credentials = append(a.Credentials, e, s)
	}
	a.Choices = nil
	for _, k := range []mfa.Kind{mfa.Passkey, mfa.TOTP, mfa.SMS, mfa.Email} {
		a.Choices = append(a.Choices, mfa.Choice{Kind: k, Why: mfa.ReasonLimit})
	}
	a.Phone = "+44 7700 900123"
	for i := range mfa.MaxOrganizations {
		a.Organizations = append(a.Organizations, fmt.Sprintf("Organization %d", i+1))
	}
	for i := range mfa.MaxRemembered {
		d := sampleDevices[i%len(sampleDevices)]
		d.ID = fmt.Sprintf("0123456789abcdefghij%02d", i)
		a.Remembered = append(a.Remembered, d)
	}
	for i := len(a.Sessions); i < mfa.MaxSessions; i++ {
		s := a.Sessions[1]
		s.Handle = fmt.Sprintf("0123456789%02d", i)
		a.Sessions = append(a.Sessions, s)
	}
}

// sampleActivity has one of everything that can happen, some of it refused.
var sampleActivity = func() []mfa.Activity {
	var list []mfa.Activity
	add := func(a mfa.Activity) {
		a.At = testNow.Add(-time.Duration(len(list)*len(list)) * time.Hour)
		if a.Name != mfa.EventAdmin {
			a.Host, a.Network, a.Agent = "payroll.example.com", "203.0.113.0/24", "Firefox on Linux"
		}
		list = append(list, a)
	}
	add(mfa.Activity{Name: mfa.EventSignedIn, OK: true})
	add(mfa.Activity{Name: mfa.EventVerify, OK: true, Factor: mfa.Passkey})
	add(mfa.Activity{Name: mfa.EventSignIn, OK: true, Factor: mfa.Password})
	add(mfa.Activity{Name: mfa.EventSignIn, Reason: "rejected", Factor: mfa.Password})
	add(mfa.Activity{Name: mfa.EventAdmin, OK: true, Did: "remove-factors", Factor: mfa.TOTP})
	add(mfa.Activity{Name: mfa.EventVerify, Reason: "throttled", Factor: mfa.TOTP})
	add(mfa.Activity{Name: mfa.EventDecision, Reason: "refuse:not_member", Decision: "K7PQ2M9XTA"})
	for _, did := range []string{"remove-factors", "remove-factor", "end-sessions", "role", "reset-password", "invite", "unlock", "disable", "enable", "enrollment-pass", "bypass", "add", "whatever"} {
		add(mfa.Activity{Name: mfa.EventAdmin, OK: true, Did: did})
	}
	add(mfa.Activity{Name: mfa.EventAdmin, Reason: "not_found", Did: "unlock"})
	for _, name := range mfa.EventNames {
		if name == mfa.EventAdmin || name == mfa.EventDecision {
			continue
		}
		add(mfa.Activity{Name: name, OK: true, Factor: mfa.Email})
		add(mfa.Activity{Name: name, Reason: "rejected", Factor: mfa.SMS})
	}
	add(mfa.Activity{Name: mfa.EventVerify, OK: true, Did: "bypass"})
	add(mfa.Activity{Name: mfa.EventVerify, Did: "bypass"})
	add(mfa.Activity{Name: mfa.EventLink, OK: true, Did: "enrollment_pass"})
	add(mfa.Activity{Name: mfa.EventEnroll, OK: true, Factor: mfa.BackupCode})
	add(mfa.Activity{Name: mfa.EventRemove, OK: true, Factor: mfa.TOTP, Did: "last_factor"})
	add(mfa.Activity{Name: mfa.EventForget, OK: true, Reason: "stolen"})
	return list
}()

var (
	totpMethod  = mfa.Method{Kind: mfa.TOTP, Available: true}
	codeMethod  = mfa.Method{Kind: mfa.BackupCode, Available: true, Left: 2}
	emailMethod = mfa.Method{Kind: mfa.Email, Available: true, Credential: "e1", Address: "al****@example.com"}
	otherEmail  = mfa.Method{Kind: mfa.Email, Available: true, Credential: "e2", Address: "ex****@mail.example"}
	smsMethod   = mfa.Method{Kind: mfa.SMS, Available: true, Credential: "s1", Address: "•••• 42"}
	allChoices  = []mfa.Choice{
		{Kind: mfa.Passkey, Available: true}, {Kind: mfa.TOTP, Available: true}, {Kind: mfa.SMS, Available: true},
		{Kind: mfa.Email, Available: true, Addresses: []mfa.AddressChoice{{Masked: "al****@example.com", Ref: "0a1b2c3d4e5f"}}},
	}
	sampleEmail   = mfa.Credential{ID: "e1", Kind: mfa.Email, Name: "al****@example.com", Address: "alice@example.com", Created: testNow.Add(-30 * 24 * time.Hour), LastUsed: testNow.Add(-26 * time.Hour)}
	sampleSMS     = mfa.Credential{ID: "s1", Kind: mfa.SMS, Name: "•••• 42", Address: "+447700900142", Created: testNow.Add(-20 * 24 * time.Hour)}
	sampleDevices = []mfa.RememberedDevice{
		{ID: "d1", Kind: mfa.TOTP, Proven: testNow.Add(-9 * 24 * time.Hour), LastUsed: testNow.Add(-3 * time.Hour), Agent: "Firefox on Linux"},
		{ID: "d2", Kind: mfa.TOTP, Proven: testNow.Add(-2 * 24 * time.Hour), Agent: "Safari on iPhone"},
	}
	codesOwed = mfa.Decision{Action: mfa.SetUp, Reason: mfa.ReasonNoCodes, Kinds: mfa.KindsOf(mfa.BackupCode)}
)

const rd = "?rd=%2Freports%2F2026"

var scenes = []scene{
	{"sign-in", 200, getting("/.mfa/sign-in"+rd, nil)},
	{"sign-in-rejected", 422, posting("/.mfa/sign-in"+rd, url.Values{"name": {"alice"}, "password": {"x"}}, func(w *world) { w.gate.err = mfa.ErrRejected })},
	{"sign-in-late", 200, getting("/.mfa/sign-in?again=late", nil)},
	{"sign-in-busy", 503, posting("/.mfa/sign-in", url.Values{"name": {"alice"}}, func(w *world) { w.gate.err = mfa.ErrBusy })},
	{"sign-in-confirm", 200, getting("/.mfa/sign-in?for=account", func(w *world) { w.signedIn(mfa.Decision{Action: mfa.Allow}) })},
	{"sign-in-everything", 200, getting("/.mfa/sign-in"+rd, func(w *world) { w.gate.everything() })},
	{"sign-in-everything-rejected", 422, posting("/.mfa/sign-in"+rd, url.Values{"name": {"alice"}, "password": {"x"}}, func(w *world) {
		w.gate.everything()
		w.gate.err = mfa.ErrRejected
	})},
	{"sign-in-email", 200, getting("/.mfa/sign-in"+rd, signInCodes(mfa.Email))},
	{"sign-in-forgotten", 200, getting("/.mfa/sign-in"+rd, func(w *world) { w.gate.forget = true })},
	{"sign-in-no-passkeys", 200, getting("/.mfa/sign-in"+rd, func(w *world) { w.guard.place.RPID = "" })},
	{"sign-in-code", 200, getting("/.mfa/sign-in/code"+rd, signInCodes(mfa.Email, mfa.SMS))},
	{"sign-in-code-email", 200, getting("/.mfa/sign-in/code"+rd, signInCodes(mfa.Email))},
	{"sign-in-code-sms", 200, getting("/.mfa/sign-in/code"+rd, signInCodes(mfa.SMS))},
	{"sign-in-code-late", 200, getting("/.mfa/sign-in/code?again=late", signInCodes(mfa.Email, mfa.SMS))},
	{"sign-in-code-refused", 422, posting("/.mfa/sign-in/code"+rd, url.Values{"address": {"alice at example"}}, func(w *world) {
		signInCodes(mfa.Email)(w)
		w.gate.err = mfa.ErrName
	})},
	{"sign-in-code-country", 422, posting("/.mfa/sign-in/code"+rd, url.Values{"address": {"+882 16 12345"}}, func(w *world) {
		signInCodes(mfa.Email, mfa.SMS)(w)
		w.gate.err = mfa.ErrCountry
	})},
	{"sign-in-code-throttled", 429, posting("/.mfa/sign-in/code"+rd, url.Values{"address": {"alice@example.com"}}, func(w *world) {
		signInCodes(mfa.Email, mfa.SMS)(w)
		w.gate.err = &mfa.ThrottledError{RetryAfter: 4 * time.Minute}
	})},
	{"sign-in-enter", 200, entering("/.mfa/sign-in/code/enter"+rd, onItsWay(mfa.ForSignInCode, mfa.Email), nil)},
	{"sign-in-enter-sms", 200, entering("/.mfa/sign-in/code/enter"+rd, onItsWay(mfa.ForSignInCode, mfa.SMS), nil)},
	{"sign-in-enter-waited", 200, entering("/.mfa/sign-in/code/enter"+rd, waited(onItsWay(mfa.ForSignInCode, mfa.Email)), nil)},
	{"sign-in-enter-wrong", 422, entering("/.mfa/sign-in/code/enter"+rd, onItsWay(mfa.ForSignInCode, mfa.Email), mfa.ErrRejected)},
	{"sign-in-enter-expired", 422, entering("/.mfa/sign-in/code/enter"+rd, onItsWay(mfa.ForSignInCode, mfa.Email), mfa.ErrExpired)},
	{"sign-up", 200, getting("/.mfa/sign-up"+rd, func(w *world) { w.gate.signUp.Name = true })},
	{"sign-up-email", 200, getting("/.mfa/sign-up"+rd, func(w *world) { w.gate.signUp.Channels = mfa.KindsOf(mfa.Email) })},
	{"sign-up-sms", 200, getting("/.mfa/sign-up"+rd, func(w *world) { w.gate.signUp.Channels = mfa.KindsOf(mfa.SMS) })},
	{"sign-up-all", 200, getting("/.mfa/sign-up"+rd, func(w *world) { w.gate.everything() })},
	{"sign-up-late", 200, getting("/.mfa/sign-up?again=late", func(w *world) { w.gate.signUp.Channels = mfa.KindsOf(mfa.Email) })},
	{"sign-up-name-taken", 422, posting("/.mfa/sign-up", url.Values{"name": {"alice"}, "display": {"Alice Example"}}, func(w *world) {
		w.gate.signUp.Name, w.gate.err = true, mfa.ErrNameTaken
	})},
	{"sign-up-address-refused", 422, posting("/.mfa/sign-up", url.Values{"name": {"alice@example"}}, func(w *world) {
		w.gate.signUp.Channels, w.gate.err = mfa.KindsOf(mfa.Email), mfa.ErrName
	})},
	{"sign-up-display-refused", 422, posting("/.mfa/sign-up", url.Values{"name": {"alice"}, "display": {"Example, Alice"}}, func(w *world) {
		w.gate.signUp.Name, w.gate.err = true, mfa.ErrName
	})},
	{"sign-up-password-short", 422, posting("/.mfa/sign-up", url.Values{"name": {"alice@example.com"}}, func(w *world) {
		w.gate.everything()
		w.gate.err = &mfa.PasswordError{Rule: mfa.PasswordTooShort}
	})},
	{"sign-up-busy", 503, posting("/.mfa/sign-up", url.Values{"name": {"alice"}}, func(w *world) { w.gate.signUp.Name, w.gate.err = true, mfa.ErrBusy })},
	{"sign-up-throttled", 429, posting("/.mfa/sign-up", url.Values{"name": {"alice"}}, func(w *world) {
		w.gate.signUp.Name, w.gate.err = true, &mfa.ThrottledError{RetryAfter: 40 * time.Minute}
	})},
	{"sign-up-code", 200, entering("/.mfa/sign-up/code"+rd, onItsWay(mfa.ForSignUp, mfa.Email), nil)},
	{"sign-up-code-sms", 200, entering("/.mfa/sign-up/code"+rd, onItsWay(mfa.ForSignUp, mfa.SMS), nil)},
	{"sign-up-code-wrong", 422, entering("/.mfa/sign-up/code"+rd, onItsWay(mfa.ForSignUp, mfa.Email), mfa.ErrRejected)},
	{"forgotten", 200, getting("/.mfa/forgotten"+rd, func(w *world) { w.gate.forget = true })},
	{"forgotten-sent", 200, getting("/.mfa/forgotten?done=sent", func(w *world) { w.gate.forget = true })},
	{"forgotten-throttled", 429, posting("/.mfa/forgotten", url.Values{"name": {"alice"}}, func(w *world) {
		w.gate.forget, w.gate.err = true, &mfa.ThrottledError{RetryAfter: 4 * time.Minute}
	})},
	{"link-forgotten", 200, posting("/.mfa/link", url.Values{"token": {"t"}, "step": {"open"}}, func(w *world) {
		w.gate.link = &mfa.Link{Purpose: mfa.ForForgotten, UserName: "alice@example.com"}
	})},
	{"link-forgotten-expired", 410, posting("/.mfa/link", url.Values{"token": {"t"}}, func(w *world) { w.gate.forget, w.gate.linkOf = true, mfa.ErrExpired })},

	{"sign-out", 200, getting("/.mfa/sign-out"+rd, func(w *world) { w.signedIn(mfa.Decision{Action: mfa.Allow}) })},
	{"signed-out", 200, getting("/.mfa/sign-out"+rd, nil)},

	{"link", 200, getting("/.mfa/link", nil)},
	{"link-setup", 200, posting("/.mfa/link", url.Values{"token": {"t"}, "step": {"open"}}, func(w *world) { w.gate.link = &mfa.Link{Purpose: mfa.ForSetupLink} })},
	{"link-invite", 200, posting("/.mfa/link", url.Values{"token": {"t"}, "step": {"open"}}, func(w *world) {
		w.gate.link = &mfa.Link{Purpose: mfa.ForInvitation, UserName: "bob", DisplayName: "Bob Example", Email: "bob@example.com"}
	})},
	{"link-reset", 200, posting("/.mfa/link", url.Values{"token": {"t"}, "step": {"open"}}, func(w *world) { w.gate.link = &mfa.Link{Purpose: mfa.ForPasswordReset, UserName: "bob"} })},
	{"link-name-taken", 422, posting("/.mfa/link", url.Values{"token": {"t"}, "step": {"accept"}, "name": {"alice"}}, func(w *world) {
		w.gate.link, w.gate.err = &mfa.Link{Purpose: mfa.ForSetupLink}, mfa.ErrNameTaken
	})},
	{"link-password-common", 422, posting("/.mfa/link", url.Values{"token": {"t"}, "step": {"accept"}}, func(w *world) {
		w.gate.link, w.gate.err = &mfa.Link{Purpose: mfa.ForInvitation, UserName: "bob"}, &mfa.PasswordError{Rule: mfa.PasswordCommon}
	})},
	{"link-email-refused", 422, posting("/.mfa/link", url.Values{"token": {"t"}, "step": {"accept"}, "name": {"alice"}, "email": {"alice"}}, func(w *world) {
		w.gate.link, w.gate.err = &mfa.Link{Purpose: mfa.ForSetupLink}, mfa.ErrName
	})},
	{"link-expired", 410, posting("/.mfa/link", url.Values{"token": {"t"}}, func(w *world) { w.gate.linkOf = mfa.ErrExpired })},

	{"set-up", 200, getting("/.mfa/set-up"+rd, settingUp(forced(mfa.Passkey, mfa.TOTP), bothChoices...))},
	{"set-up-skippable", 200, getting("/.mfa/set-up"+rd, func(w *world) {
		d := forced(mfa.Passkey, mfa.TOTP)
		d.Reason, d.Skippable = mfa.ReasonPrompt, true
		settingUp(d, bothChoices...)(w)
	})},
	{"set-up-grace", 200, getting("/.mfa/set-up"+rd, func(w *world) {
		d := forced(mfa.Passkey, mfa.TOTP)
		d.Skippable = true
		settingUp(d, bothChoices...)(w)
		w.gate.state.GraceEnds = testNow.Add(5 * 24 * time.Hour)
	})},
	{"set-up-plain-http", 200, getting("/.mfa/set-up", settingUp(forced(mfa.Passkey, mfa.TOTP),
		mfa.Choice{Kind: mfa.Passkey, Why: mfa.ReasonPlainHTTP}, mfa.Choice{Kind: mfa.TOTP, Available: true}))},
	{"set-up-only-codes", 200, getting("/.mfa/set-up", func(w *world) {
		d := forced(mfa.Passkey, mfa.TOTP)
		d.Reason = mfa.ReasonOnlyCodes
		settingUp(d, bothChoices...)(w)
	})},
	{"set-up-needs-factor", 200, getting("/.mfa/set-up?phr=1&list=1", func(w *world) {
		w.signedIn(mfa.Decision{Action: mfa.SetUp, Reason: mfa.ReasonNeedsFactor, Kinds: mfa.KindsOf(mfa.Passkey)}).Choices = bothChoices[:1]
	})},
	{"set-up-add", 200, getting("/.mfa/set-up?from=account", func(w *world) { w.signedIn(mfa.Decision{Action: mfa.Allow}).Choices = bothChoices })},
	{"set-up-limit", 200, getting("/.mfa/set-up?from=account&list=1", func(w *world) {
		w.signedIn(mfa.Decision{Action: mfa.Allow}).Choices = []mfa.Choice{{Kind: mfa.Passkey, Available: true}, {Kind: mfa.TOTP, Why: mfa.ReasonLimit, Held: 5}}
	})},
	{"set-up-stuck", 403, getting("/.mfa/set-up", settingUp(forced(mfa.Passkey), mfa.Choice{Kind: mfa.Passkey, Why: mfa.ReasonIPAddress}))},
	{"set-up-closed", 403, getting("/.mfa/set-up", func(w *world) {
		settingUp(forced(mfa.Passkey, mfa.TOTP), bothChoices...)(w)
		w.gate.state.Closed = true
	})},
	{"set-up-closed-skippable", 403, getting("/.mfa/set-up", func(w *world) {
		d := forced(mfa.Passkey, mfa.TOTP)
		d.Reason, d.Skippable = mfa.ReasonPrompt, true
		settingUp(d, bothChoices...)(w)
		w.gate.state.Closed = true
	})},
	{"set-up-passkey", 200, getting("/.mfa/set-up/passkey"+rd, settingUp(forced(mfa.Passkey, mfa.TOTP), bothChoices...))},
	{"set-up-passkey-needed", 200, getting("/.mfa/set-up/passkey?phr=1&rd=%2Fstrict%2Fx", func(w *world) {
		w.signedIn(mfa.Decision{Action: mfa.SetUp, Reason: mfa.ReasonNeedsFactor, Kinds: mfa.KindsOf(mfa.Passkey)}).Choices = bothChoices[:1]
	})},
	{"set-up-totp", 200, getting("/.mfa/set-up/totp"+rd, settingUp(forced(mfa.Passkey, mfa.TOTP), bothChoices...))},
	{"set-up-totp-wrong", 422, posting("/.mfa/set-up/totp"+rd, url.Values{"code": {"123456"}}, func(w *world) {
		settingUp(forced(mfa.Passkey, mfa.TOTP), bothChoices...)(w)
		w.gate.err = mfa.ErrRejected
	})},
	{"set-up-totp-late", 200, getting("/.mfa/set-up/totp?again=late", settingUp(forced(mfa.TOTP), bothChoices[1:]...))},
	{"set-up-codes", 200, getting("/.mfa/set-up/backup-codes"+rd, func(w *world) {
		settingUp(codesOwed)(w)
		w.gate.state.Session.Enrolled = true
	})},
	{"set-up-codes-untickt", 422, posting("/.mfa/set-up/backup-codes", nil, settingUp(codesOwed))},
	{"set-up-codes-skippable", 200, getting("/.mfa/set-up/backup-codes", func(w *world) {
		d := codesOwed
		d.Skippable = true
		settingUp(d)(w)
	})},
	{"set-up-codes-new", 200, getting("/.mfa/set-up/backup-codes?from=account", func(w *world) {
		st := w.signedIn(mfa.Decision{Action: mfa.Allow})
		st.Subject = alice(mfa.Held{ID: mfa.BackupCodesID, Kind: mfa.BackupCode, Left: 2})
		w.gate.codes = sampleCodes
	})},

	{"set-up-all", 200, getting("/.mfa/set-up"+rd, settingUp(forced(mfa.Passkey, mfa.TOTP, mfa.SMS, mfa.Email), allChoices...))},
	{"set-up-another", 200, getting("/.mfa/set-up"+rd, another(true))},
	{"set-up-another-forced", 200, getting("/.mfa/set-up"+rd, another(false))},
	{"set-up-bypassed", 200, getting("/.mfa/set-up"+rd, func(w *world) {
		d := forced(mfa.Passkey, mfa.TOTP)
		d.Reason, d.Skippable = mfa.ReasonBypassed, true
		settingUp(d, bothChoices...)(w)
	})},
	{"set-up-no-sender", 200, getting("/.mfa/set-up"+rd, settingUp(forced(mfa.TOTP, mfa.SMS),
		mfa.Choice{Kind: mfa.TOTP, Available: true}, mfa.Choice{Kind: mfa.SMS, Why: mfa.ReasonNoSender}))},
	{"set-up-email", 200, getting("/.mfa/set-up/email"+rd, settingUp(forced(mfa.Passkey, mfa.TOTP, mfa.SMS, mfa.Email), allChoices...))},
	{"set-up-email-verified", 200, getting("/.mfa/set-up/email"+rd, settingUp(forced(mfa.Email, mfa.TOTP), mfa.Choice{
		Kind: mfa.Email, Available: true, Addresses: []mfa.AddressChoice{{Masked: "al****@example.com", Ref: "0a1b2c3d4e5f", Verified: true}}}, bothChoices[1]))},
	{"set-up-email-only", 200, getting("/.mfa/set-up/email"+rd, settingUp(forced(mfa.Email), mfa.Choice{Kind: mfa.Email, Available: true}))},
	{"set-up-email-add", 200, getting("/.mfa/set-up/email?from=account", func(w *world) { w.signedIn(mfa.Decision{Action: mfa.Allow}).Choices = allChoices })},
	{"set-up-email-refused", 422, posting("/.mfa/set-up/email"+rd, url.Values{"address": {"alice@"}}, settingUpAddress(mfa.Email, "", time.Hour, mfa.ErrName))},
	{"set-up-email-held", 422, posting("/.mfa/set-up/email"+rd, url.Values{"address": {"alice@example.com"}}, settingUpAddress(mfa.Email, "", time.Hour, mfa.ErrNotOwed))},
	{"set-up-email-not-sent", 503, posting("/.mfa/set-up/email"+rd, url.Values{"address": {"alice@example.com"}}, settingUpAddress(mfa.Email, "", time.Hour, mfa.ErrNotSent))},
	{"set-up-email-throttled", 429, posting("/.mfa/set-up/email"+rd, url.Values{"address": {"alice@example.com"}}, settingUpAddress(mfa.Email, "", time.Hour, &mfa.ThrottledError{RetryAfter: 4 * time.Minute}))},
	{"set-up-email-over", 200, getting("/.mfa/set-up/email?again=over", settingUp(forced(mfa.TOTP, mfa.Email), bothChoices[1], allChoices[3]))},
	{"set-up-email-code", 200, getting("/.mfa/set-up/email/code"+rd, settingUpAddress(mfa.Email, "al****@example.com", 15*time.Second, nil))},
	{"set-up-email-code-wrong", 422, posting("/.mfa/set-up/email/code"+rd, url.Values{"code": {"12345678"}}, settingUpAddress(mfa.Email, "al****@example.com", 2*time.Minute, mfa.ErrRejected))},
	{"set-up-email-code-expired", 422, posting("/.mfa/set-up/email/code"+rd, url.Values{"code": {"12345678"}}, settingUpAddress(mfa.Email, "al****@example.com", 6*time.Minute, mfa.ErrExpired))},
	{"set-up-sms", 200, getting("/.mfa/set-up/sms"+rd, settingUp(forced(mfa.TOTP, mfa.SMS), bothChoices[1], allChoices[2]))},
	{"set-up-sms-country", 422, posting("/.mfa/set-up/sms"+rd, url.Values{"address": {"+882 16 5551234"}}, settingUpAddress(mfa.SMS, "", time.Hour, mfa.ErrCountry))},
	{"set-up-sms-code", 200, getting("/.mfa/set-up/sms/code"+rd, settingUpAddress(mfa.SMS, "•••• 42", 2*time.Minute, nil))},
	{"set-up-confirm", 200, getting("/.mfa/set-up/confirm"+rd, confirming(20*time.Second, nil))},
	{"set-up-confirm-wrong", 422, posting("/.mfa/set-up/confirm"+rd, url.Values{"code": {"12345678"}}, confirming(2*time.Minute, mfa.ErrRejected))},
	{"set-up-confirm-expired", 422, posting("/.mfa/set-up/confirm"+rd, url.Values{"code": {"12345678"}}, confirming(6*time.Minute, mfa.ErrExpired))},
	{"set-up-confirm-skippable", 200, getting("/.mfa/set-up/confirm"+rd, func(w *world) {
		confirming(20*time.Second, nil)(w)
		w.gate.state.Decision.Reason, w.gate.state.Decision.Skippable = mfa.ReasonPrompt, true
	})},
	{"set-up-confirm-not-sent", 503, getting("/.mfa/set-up/confirm"+rd, func(w *world) {
		confirming(time.Hour, nil)(w)
		w.gate.sendOf = mfa.ErrNotSent
	})},
	{"set-up-pass", 200, getting("/.mfa/set-up/pass"+rd, confirming(time.Minute, nil))},
	{"set-up-pass-wrong", 422, posting("/.mfa/set-up/pass"+rd, url.Values{"code": {"AAAA"}}, func(w *world) {
		settingUp(forced(mfa.Passkey, mfa.TOTP), bothChoices...)(w)
		w.gate.state.Closed, w.gate.err = true, mfa.ErrRejected
	})},

	{"verify-passkey", 200, getting("/.mfa/verify"+rd, verifying(bothMethods...))},
	{"verify-totp", 200, getting("/.mfa/verify"+rd, verifying(totpMethod, codeMethod))},
	{"verify-totp-only", 200, getting("/.mfa/verify"+rd, verifying(totpMethod))},
	{"verify-totp-wrong", 422, posting("/.mfa/verify/totp"+rd, url.Values{"code": {"123456"}}, failing(mfa.ErrRejected, totpMethod, codeMethod))},
	{"verify-totp-clock", 422, posting("/.mfa/verify/totp"+rd, url.Values{"code": {"123456"}}, failing(&mfa.ClockError{Off: 4 * time.Minute}, totpMethod, codeMethod))},
	{"verify-totp-throttled", 429, posting("/.mfa/verify/totp"+rd, url.Values{"code": {"123456"}}, failing(&mfa.ThrottledError{RetryAfter: 30 * time.Second}, totpMethod, codeMethod))},
	{"verify-totp-locked", 429, posting("/.mfa/verify/totp"+rd, url.Values{"code": {"123456"}}, failing(&mfa.ThrottledError{Locked: true}, totpMethod, codeMethod))},
	{"verify-step-up", 200, getting("/.mfa/verify?max_age=300&rd=%2Fdanger", func(w *world) {
		st := w.signedIn(mfa.Decision{Action: mfa.StepUp, Reason: mfa.ReasonTooOld, Kinds: mfa.KindsOf(mfa.Passkey, mfa.TOTP)})
		st.Methods, st.Preferred = bothMethods, mfa.Passkey
	})},
	{"verify-change", 200, getting("/.mfa/verify/totp?for=account", func(w *world) {
		st := w.signedIn(mfa.Decision{Action: mfa.StepUp, Reason: mfa.ReasonTooOld, Kinds: mfa.KindsOf(mfa.TOTP)})
		st.Methods = bothMethods
	})},
	{"verify-code", 200, getting("/.mfa/verify/backup-code"+rd, verifying(totpMethod, codeMethod))},
	{"verify-code-wrong", 422, posting("/.mfa/verify/backup-code"+rd, url.Values{"code": {"AAAA"}}, failing(mfa.ErrRejected, totpMethod, codeMethod))},
	{"verify-codes-left", 200, getting("/.mfa/verify/codes-left"+rd, func(w *world) {
		w.signedIn(mfa.Decision{Action: mfa.Allow}).Subject = alice(mfa.Held{ID: mfa.BackupCodesID, Kind: mfa.BackupCode, Left: 2})
	})},
	{"verify-methods", 200, getting("/.mfa/verify/methods"+rd, verifying(bothMethods...))},
	{"verify-methods-partly", 200, getting("/.mfa/verify/methods"+rd, verifying(
		mfa.Method{Kind: mfa.Passkey, Why: mfa.ReasonOtherHost, Hint: "wiki.example.com"},
		mfa.Method{Kind: mfa.TOTP, Why: mfa.ReasonLocked, Wait: 14 * time.Minute}, codeMethod))},
	{"verify-stuck", 403, getting("/.mfa/verify"+rd, verifying(
		mfa.Method{Kind: mfa.Passkey, Why: mfa.ReasonOtherHost, Hint: "wiki.example.com"},
		mfa.Method{Kind: mfa.TOTP, Why: mfa.ReasonLocked}))},
	{"verify-email", 200, getting("/.mfa/verify"+rd, remembering(mailing(15*time.Second, nil, emailMethod, codeMethod)))},
	{"verify-email-only", 200, getting("/.mfa/verify"+rd, mailing(2*time.Minute, nil, emailMethod))},
	{"verify-email-again", 200, getting("/.mfa/verify/email?cred=e1&done=sent", mailing(time.Second, nil, emailMethod, codeMethod))},
	{"verify-email-wrong", 422, posting("/.mfa/verify/email"+rd, url.Values{"code": {"12345678"}, "remember": {"yes"}}, remembering(mailing(2*time.Minute, mfa.ErrRejected, emailMethod, codeMethod)))},
	{"verify-email-expired", 422, posting("/.mfa/verify/email"+rd, url.Values{"code": {"12345678"}}, mailing(6*time.Minute, mfa.ErrExpired, emailMethod, codeMethod))},
	{"verify-email-throttled", 429, posting("/.mfa/verify/email"+rd, url.Values{"code": {"12345678"}}, mailing(2*time.Minute, &mfa.ThrottledError{RetryAfter: 30 * time.Second}, emailMethod, codeMethod))},
	{"verify-email-too-many", 429, posting("/.mfa/verify/email/send"+rd, nil, func(w *world) {
		mailing(2*time.Minute, nil, emailMethod, codeMethod)(w)
		w.gate.sendOf = &mfa.ThrottledError{RetryAfter: 3 * time.Minute}
	})},
	{"verify-email-not-sent", 503, getting("/.mfa/verify"+rd, notSending(mfa.ErrNotSent, emailMethod, codeMethod))},
	{"verify-email-not-sent-only", 503, getting("/.mfa/verify"+rd, notSending(mfa.ErrNotSent, emailMethod))},
	{"verify-email-busy", 503, getting("/.mfa/verify"+rd, notSending(mfa.ErrBusy, emailMethod, codeMethod))},
	{"verify-email-none-left", 429, getting("/.mfa/verify"+rd, notSending(&mfa.ThrottledError{RetryAfter: 4 * time.Minute}, emailMethod, codeMethod))},
	{"verify-sms", 200, getting("/.mfa/verify"+rd, mailing(2*time.Minute, nil, smsMethod, codeMethod))},
	{"verify-totp-remember", 200, getting("/.mfa/verify"+rd, remembering(verifying(totpMethod, codeMethod)))},
	{"verify-passkey-remember", 200, getting("/.mfa/verify"+rd, remembering(verifying(bothMethods...)))},
	{"verify-methods-sent", 200, getting("/.mfa/verify/methods"+rd, verifying(mfa.Method{Kind: mfa.Passkey, Available: true}, totpMethod, smsMethod, emailMethod, otherEmail, codeMethod))},
	{"verify-methods-same-channel", 200, getting("/.mfa/verify/methods"+rd, verifying(mfa.Method{Kind: mfa.SMS, Why: mfa.ReasonNoSender, Credential: "s1", Address: "•••• 42"},
		mfa.Method{Kind: mfa.Email, Why: mfa.ReasonSameChannel, Credential: "e1", Address: "al****@example.com"}, codeMethod))},
	{"verify-stuck-same-channel", 403, getting("/.mfa/verify"+rd, verifying(mfa.Method{Kind: mfa.Email, Why: mfa.ReasonSameChannel, Credential: "e1", Address: "al****@example.com"}))},
	{"verify-bypass", 200, getting("/.mfa/verify/bypass"+rd, verifying(totpMethod, codeMethod))},
	{"verify-bypass-wrong", 422, posting("/.mfa/verify/bypass"+rd, url.Values{"code": {"AAAA"}}, failing(mfa.ErrRejected, totpMethod, codeMethod))},

	{"account", 200, getting("/.mfa/account"+rd, func(w *world) {
		w.signedIn(mfa.Decision{Action: mfa.Allow})
		w.gate.account = sampleAccount(samplePasskey, sampleOther, sampleTOTP, sampleSet)
		w.gate.activity = sampleActivity
	})},
	{"account-good", 200, getting("/.mfa/account?done=renamed", func(w *world) {
		w.signedIn(mfa.Decision{Action: mfa.Allow})
		w.gate.account = sampleAccount(samplePasskey, sampleSet)
	})},
	{"account-empty", 200, getting("/.mfa/account", func(w *world) {
		w.signedIn(mfa.Decision{Action: mfa.Allow})
		w.gate.account = sampleAccount()
		w.gate.account.Required, w.gate.account.OptedOut = false, false
		w.gate.account.Sessions = w.gate.account.Sessions[:1]
		w.gate.account.Choices = []mfa.Choice{{Kind: mfa.Passkey, Why: mfa.ReasonPlainHTTP}, {Kind: mfa.TOTP, Available: true}}
	})},
	{"account-campaign", 200, getting("/.mfa/account", func(w *world) {
		w.signedIn(mfa.Decision{Action: mfa.Allow})
		w.gate.account = sampleAccount()
		w.gate.account.Choices = bothChoices
		w.gate.account.Campaign = &mfa.CampaignPrompt{
			Organization: "Sales of Acme", Factors: mfa.KindsOf(mfa.Passkey, mfa.TOTP), Deadline: testNow.Add(7 * 24 * time.Hour), DaysLeft: 7, Required: true,
		}
	})},
	{"account-off", 200, getting("/.mfa/account", func(w *world) {
		w.signedIn(mfa.Decision{Action: mfa.Allow})
		w.gate.account = sampleAccount(sampleTOTP)
		w.gate.account.Required, w.gate.account.OptedOut = false, true
	})},
	{"account-remove", 200, getting("/.mfa/account/remove?credential=t1", func(w *world) {
		w.signedIn(mfa.Decision{Action: mfa.Allow})
		w.gate.account = sampleAccount(samplePasskey, sampleTOTP, sampleSet)
	})},
	{"account-remove-only", 200, getting("/.mfa/account/remove?credential=t1", func(w *world) {
		w.signedIn(mfa.Decision{Action: mfa.Allow})
		w.gate.account = sampleAccount(sampleTOTP, sampleSet)
		w.gate.account.Required = false
	})},
	{"account-remove-required", 200, getting("/.mfa/account/remove?credential=t1"+"&rd=%2Freports", func(w *world) {
		w.signedIn(mfa.Decision{Action: mfa.Allow})
		w.gate.account = sampleAccount(sampleTOTP, sampleSet)
		w.gate.account.CanReplace = true
	})},
	{"account-remove-stays", 200, getting("/.mfa/account/remove?credential=t1", func(w *world) {
		w.signedIn(mfa.Decision{Action: mfa.Allow})
		w.gate.account = sampleAccount(sampleTOTP, sampleSet)
	})},
	{"account-remove-last", 409, posting("/.mfa/account/remove", url.Values{"credential": {"t1"}}, func(w *world) {
		w.signedIn(mfa.Decision{Action: mfa.Allow})
		w.gate.account = sampleAccount(sampleTOTP, sampleSet)
		w.gate.account.CanReplace = true
		w.gate.err = mfa.ErrLastFactor
	})},
	{"account-news", 200, getting("/.mfa/account", func(w *world) {
		w.signedIn(mfa.Decision{Action: mfa.Allow})
		w.gate.account = sampleAccount(samplePasskey, sampleTOTP, sampleSet)
		w.gate.account.Notices, w.gate.account.PutAway = sampleNotices, true
	})},
	{"account-sent", 200, getting("/.mfa/account?done=device", func(w *world) {
		w.signedIn(mfa.Decision{Action: mfa.Allow})
		w.gate.account = sampleAccount(sampleEmail, sampleSMS, sampleSet)
		a := w.gate.account
		a.Choices, a.Phone, a.Organizations, a.Remembered = allChoices, "+44 7700 900142", []string{"Acme Finance", "Acme Berlin"}, sampleDevices
	})},
	{"account-remove-email", 200, getting("/.mfa/account/remove?credential=e1", func(w *world) {
		w.signedIn(mfa.Decision{Action: mfa.Allow})
		w.gate.account = sampleAccount(samplePasskey, sampleEmail, sampleSet)
	})},
	{"account-name", 200, getting("/.mfa/account/name"+rd, fullAccount)},
	{"account-name-refused", 422, posting("/.mfa/account/name", url.Values{"value": {"Alice | Bob"}}, func(w *world) {
		fullAccount(w)
		w.gate.err = mfa.ErrName
	})},
	{"account-email", 200, getting("/.mfa/account/email"+rd, fullAccount)},
	{"account-email-refused", 422, posting("/.mfa/account/email", url.Values{"value": {"alice"}}, func(w *world) {
		fullAccount(w)
		w.gate.err = mfa.ErrName
	})},
	{"account-email-not-sent", 503, posting("/.mfa/account/email", url.Values{"value": {"alice.new@example.net"}}, func(w *world) {
		fullAccount(w)
		w.gate.err = mfa.ErrNotSent
	})},
	{"account-email-throttled", 429, posting("/.mfa/account/email", url.Values{"value": {"alice.new@example.net"}}, func(w *world) {
		fullAccount(w)
		w.gate.err = &mfa.ThrottledError{RetryAfter: 90 * time.Second}
	})},
	{"account-email-code", 200, getting("/.mfa/account/email/code", fullAccount)},
	{"account-email-wrong", 422, posting("/.mfa/account/email/code", url.Values{"code": {"12345678"}}, func(w *world) {
		fullAccount(w)
		w.gate.err = mfa.ErrRejected
	})},
	{"account-email-taken", 422, posting("/.mfa/account/email/code", url.Values{"code": {"12345678"}}, func(w *world) {
		fullAccount(w)
		w.gate.err = mfa.ErrNameTaken
	})},
	{"account-activity", 200, getting("/.mfa/account/activity"+rd, func(w *world) {
		fullAccount(w)
	})},
	{"account-activity-older", 200, getting("/.mfa/account/activity?after=c2Vjb25k", func(w *world) {
		fullAccount(w)
		w.gate.activity = w.gate.activity[:7]
	})},
	{"account-activity-none", 200, getting("/.mfa/account/activity", func(w *world) {
		fullAccount(w)
		w.gate.activity = nil
	})},
	{"account-devices", 200, getting("/.mfa/account/devices"+rd, fullAccount)},
	{"account-limits", 200, getting("/.mfa/account"+rd, fullAccount)},
	{"account-policy-off", 200, getting("/.mfa/account", func(w *world) {
		w.signedIn(mfa.Decision{Action: mfa.Allow})
		w.gate.account = sampleAccount(sampleTOTP)
		w.gate.account.Off, w.gate.account.Required, w.gate.account.Choices, w.gate.account.CodesOffered = true, false, nil, false
	})},
	{"notices", 200, getting("/.mfa/notices"+rd, func(w *world) {
		w.signedIn(mfa.Decision{Action: mfa.Allow})
		w.gate.notices = sampleNotices
	})},
	{"account-rename", 200, getting("/.mfa/account/rename?credential=t1", func(w *world) {
		w.signedIn(mfa.Decision{Action: mfa.Allow})
		w.gate.account = sampleAccount(sampleTOTP, sampleSet)
	})},
	{"account-rename-refused", 422, posting("/.mfa/account/rename", url.Values{"credential": {"t1"}}, func(w *world) {
		w.signedIn(mfa.Decision{Action: mfa.Allow})
		w.gate.account = sampleAccount(sampleTOTP, sampleSet)
		w.gate.err = mfa.ErrName
	})},
	{"account-password", 200, getting("/.mfa/account/password", func(w *world) {
		w.signedIn(mfa.Decision{Action: mfa.Allow})
		w.gate.account = sampleAccount()
	})},
	{"account-password-wrong", 422, posting("/.mfa/account/password", nil, func(w *world) {
		w.signedIn(mfa.Decision{Action: mfa.Allow})
		w.gate.err = mfa.ErrRejected
	})},
	{"account-password-throttled", 429, posting("/.mfa/account/password", nil, func(w *world) {
		w.signedIn(mfa.Decision{Action: mfa.Allow})
		w.gate.err = &mfa.ThrottledError{RetryAfter: 4 * time.Minute}
	})},
	{"account-password-short", 422, posting("/.mfa/account/password", nil, func(w *world) {
		w.signedIn(mfa.Decision{Action: mfa.Allow})
		w.gate.err = &mfa.PasswordError{Rule: mfa.PasswordTooShort}
	})},
	{"account-opt-out", 200, getting("/.mfa/account/opt-out", func(w *world) {
		w.signedIn(mfa.Decision{Action: mfa.Allow})
		w.gate.account = sampleAccount(sampleTOTP)
		w.gate.account.Required = false
	})},

	{"refused", 403, refusing(func(w *world, rw http.ResponseWriter, r *http.Request) {
		w.signedIn(mfa.Decision{})
		w.pages.Refused(rw, r, mfa.Decision{ID: "K7PQ2M9XTA"})
	})},
	{"refused-cannot-be-here", 403, refusing(func(w *world, rw http.ResponseWriter, r *http.Request) {
		w.signedIn(mfa.Decision{})
		w.guard.place.RPID = ""
		w.pages.Refused(rw, r, mfa.Decision{Reason: mfa.ReasonCannotBeHere, ID: "K7PQ2M9XTA"})
	})},
	{"refused-not-member", 403, refusing(func(w *world, rw http.ResponseWriter, r *http.Request) {
		w.signedIn(mfa.Decision{})
		w.pages.Refused(rw, r, mfa.Decision{Reason: mfa.ReasonNotMember, ID: "K7PQ2M9XTA"})
	})},
	{"refused-same-channel", 403, getting("/.mfa/verify"+rd, func(w *world) { w.halfDone(mfa.Decision{Reason: mfa.ReasonSameChannel}) })},
	{"refused-disabled", 403, refusing(func(w *world, rw http.ResponseWriter, r *http.Request) {
		w.pages.Refused(rw, r, mfa.Decision{Reason: mfa.ReasonDisabled, ID: "K7PQ2M9XTA"})
	})},
	{"refused-post-lost", 401, refusing(func(w *world, rw http.ResponseWriter, r *http.Request) {
		r.Method = http.MethodPost
		w.pages.PostLost(rw, r, mfa.Decision{Action: mfa.SignIn}, "/.mfa/sign-in?rd=%2Freports")
	})},
	{"refused-post-verify", 401, refusing(func(w *world, rw http.ResponseWriter, r *http.Request) {
		w.signedIn(mfa.Decision{})
		r.Method = http.MethodPost
		w.pages.PostLost(rw, r, mfa.Decision{Action: mfa.StepUp}, "/.mfa/verify?max_age=300")
	})},
	{"refused-plain-http", 403, refusing(func(w *world, rw http.ResponseWriter, r *http.Request) {
		w.guard.parseOf = guard.ErrPlainHTTP
		w.pages.PlainHTTP(rw, r)
	})},
	{"loop", 508, func(_ testing.TB, w *world) answer {
		w.signedIn(mfa.Decision{Action: mfa.Allow})
		w.get("/.mfa/sign-in" + rd)
		w.get("/.mfa/sign-in" + rd)
		return w.get("/.mfa/sign-in" + rd)
	}},
	{"loop-console", 508, func(_ testing.TB, w *world) answer {
		w.consoleAt = "https://auth.example.com"
		w.signedIn(mfa.Decision{Action: mfa.Allow})
		w.get("/.mfa/sign-in" + rd)
		w.get("/.mfa/sign-in" + rd)
		return w.get("/.mfa/sign-in" + rd)
	}},
	{"unavailable", 503, refusing(func(w *world, rw http.ResponseWriter, r *http.Request) { w.pages.Unavailable(rw, r) })},
	// The store is not open yet.
	{"closed", 503, closed(http.MethodGet)},
	{"closed-post", 503, closed(http.MethodPost)},
	{"in-turn", 503, posting("/.mfa/sign-in", url.Values{"name": {"alice"}, "password": {"a password"}}, func(w *world) { w.gate.err = fmt.Errorf("waiting for roles: %w", mfa.ErrInTurn) })},
	{"cookie-lost", 403, getting("/.mfa/verify?c=1", nil)},
	// Not the page that leads on from the portal: it would lead the viewer away.
	{"did-not-arrive", 403, func(_ testing.TB, w *world) answer {
		w.withPortal("shop.test").gate.err = mfa.ErrExpired
		return w.at(http.MethodGet, "https://shop.test/.mfa/arrive?code=c&rd=%2Fx&again=arrive", "cross-site", "__Host-mfa-arrive=s")
	}},
	{"form-too-old", 403, func(t testing.TB, w *world) answer {
		r := w.postRequest(t, "/.mfa/sign-in", nil)
		_, other := w.token(t)
		r.Header.Set("Cookie", other)
		return w.do(r)
	}},
	{"not-found", 404, getting("/.mfa/nowhere", nil)},
	{"method-not-allowed", 405, getting("/.mfa/preferences", nil)},
}
