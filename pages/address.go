package pages

import (
	"errors"
	"net/http"
	"strings"

	"github.com/secondgate/secondgate/mfa"
)

// addressPage asks where codes are to go.
type addressPage struct {
	setUpFrame
	Email        bool
	Intro, Hint  string
	Known        []knownAddress
	Label, Typed string
}

// knownAddress is an address on file, which can be chosen without typing it.
type knownAddress struct{ Ref, Masked, What, Icon string }

// again is why an address is asked for a second time.
const againOver = "over"

// setUpAddressHref is the page that sets up a kind whose codes are sent.
func setUpAddressHref(k mfa.Kind) string {
	if k == mfa.SMS {
		return "set-up/sms"
	}
	return "set-up/email"
}

// setUpPage is the page of a set-up that waits for a proof: the one that a code, or
// asking for another, belongs to.
func (v *visit) setUpPage() string {
	return strings.TrimSuffix(strings.TrimSuffix(v.page(), sendAgain), "/code")
}

// addressWords are the words of both kinds, the first for e-mail.
var addressWords = map[string][2]string{
	"title":   {"setup.email.title", "setup.sms.title"},
	"intro":   {"setup.email.intro", "setup.sms.intro"},
	"label":   {"who.email", "who.sms"},
	"another": {"setup.email.another", "setup.sms.another"},
	"refused": {"who.email.refused", "who.sms.refused"},
	"held":    {"setup.email.held", "setup.sms.held"},
	"change":  {"waiting.other", "waiting.other.sms"},
}

func (v *visit) addressWord(k mfa.Kind, what string) string {
	if k == mfa.SMS {
		return v.T(addressWords[what][1])
	}
	return v.T(addressWords[what][0])
}

// setUpAddress is setUpFactor where the kind can be set up; where not, the list says
// why.
func (v *visit) setUpAddress(k mfa.Kind) (*mfa.State, mfa.Choice, bool) {
	st, ok := v.setUpFactor()
	if !ok {
		return nil, mfa.Choice{}, false
	}
	for _, c := range st.Choices {
		if c.Kind == k && c.Available {
			return st, c, true
		}
	}
	v.redirect(v.href("set-up", paramList, "1"))
	return nil, mfa.Choice{}, false
}

func (p *Pages) serveSetUpAddress(k mfa.Kind) func(*visit) {
	return func(v *visit) {
		st, choice, ok := v.setUpAddress(k)
		if !ok {
			return
		}
		page := v.newAddressPage(st, choice)
		if v.query.Get(paramAgain) == againOver {
			page.Notice = v.T("setup.address.over")
		}
		v.render(http.StatusOK, "setup_address", page)
	}
}

func (v *visit) newAddressPage(st *mfa.State, choice mfa.Choice) addressPage {
	k := choice.Kind
	page := addressPage{
		setUpFrame: v.setUpFrame(st, v.addressWord(k, "title")), Email: k == mfa.Email, Intro: v.addressWord(k, "intro"),
		Label: v.addressWord(k, "label"),
	}
	page.Others = v.others(st)
	if k == mfa.SMS {
		page.Hint = v.T("signin.code.sms.hint")
	}
	for _, a := range choice.Addresses {
		known := knownAddress{Ref: a.Ref, Masked: a.Masked, What: v.T("setup.address.send"), Icon: string(k)}
		if a.Verified {
			known.What = v.T("setup.address.verified")
		}
		page.Known, page.Label = append(page.Known, known), v.addressWord(k, "another")
	}
	return page
}

// postSetUpAddress takes an address, chosen or typed, and sends a code to it, where
// this sign-in has not proven it already.
func (p *Pages) postSetUpAddress(k mfa.Kind) func(*visit) {
	return func(v *visit) {
		id, ok := v.id()
		if !ok {
			return
		}
		in := mfa.AddressInput{Ref: v.form("ref")}
		if in.Ref == "" {
			in.Typed = v.form("address")
		}
		out, _, err := p.gate.SetUpAddress(v.r.Context(), &v.at, id, k, in, false)
		switch {
		case err != nil:
			v.addressFailed(k, in, err)
		case out != nil:
			v.proceed(out)
		default:
			v.redirect(v.Href(setUpAddressHref(k) + "/code"))
		}
	}
}

// addressFailed says what was wrong with an address, or why no code was sent to it.
func (v *visit) addressFailed(k mfa.Kind, in mfa.AddressInput, err error) {
	var throttled *mfa.ThrottledError
	wrong, country := "", false
	switch {
	case errors.Is(err, mfa.ErrName):
		wrong = v.addressWord(k, "refused")
	case errors.Is(err, mfa.ErrCountry):
		country = true
	case errors.Is(err, mfa.ErrNotOwed):
		// Or another tab went on with the sign-in: the state says so.
		wrong = v.addressWord(k, "held")
	case errors.As(err, &throttled), errors.Is(err, mfa.ErrNotSent), errors.Is(err, mfa.ErrBusy):
	default:
		v.setUpFailed(err)
		return
	}
	st, choice, ok := v.setUpAddress(k)
	if !ok {
		return
	}
	page := v.newAddressPage(st, choice)
	page.Typed = in.Typed
	switch {
	case country && page.Others != "":
		wrong = v.T("who.country")
	case country:
		wrong = v.T("setup.sms.country.only", "support", v.helper())
	}
	if wrong != "" {
		page.FieldError = wrong
		v.render(http.StatusUnprocessableEntity, "setup_address", page)
		return
	}
	sending := sentPage{setUpFrame: page.setUpFrame}
	status := sending.sendFailed(err)
	page.setUpFrame, page.Wait = sending.setUpFrame, sending.Resend
	v.render(status, "setup_address", page)
}

// addressAsked returns the code that went to the address that this sign-in sets up,
// though its time may be over, or nil.
func addressAsked(st *mfa.State, k mfa.Kind) *mfa.SentCode {
	for i := range st.Session.Sent {
		if c := &st.Session.Sent[i]; c.Kind == k && c.Purpose == mfa.LetterSetUp && c.Credential == "" {
			return c
		}
	}
	return nil
}

func (p *Pages) serveSetUpCode(k mfa.Kind) func(*visit) {
	return func(v *visit) {
		if st, _, ok := v.setUpAddress(k); ok {
			v.showSetUpCode(st, k, nil)
		}
	}
}

// showSetUpCode shows the page that takes the code of a set-up, after what went wrong.
func (v *visit) showSetUpCode(st *mfa.State, k mfa.Kind, failed func(*sentPage) int) {
	own := setUpAddressHref(k)
	to, err := v.p.gate.PendingAddress(v.r.Context(), &v.at, st.Session.ID, k)
	switch {
	case err == nil && to.Credential == "":
	case err != nil && !errors.Is(err, mfa.ErrExpired):
		v.fail(err)
		return
	case addressAsked(st, k) == nil:
		// Nothing was asked for, or its tries are over.
		to := v.Href(own)
		if failed != nil {
			to = v.href(own, paramAgain, againOver)
		}
		v.redirect(to)
		return
	default:
		to = nil // its time is over, and another can be sent
	}
	page := v.newSentPage(v.setUpFrame(st, v.T("waiting.title")), k, to, v.Href(own+"/code"), v.Href(own+sendAgain))
	page.Why, page.Submit = "", v.T("setup.totp.submit")
	page.Change, page.ChangeHref = v.addressWord(k, "change"), v.Href(own)
	page.Others = v.others(st)
	status := http.StatusOK
	if to == nil {
		page.Error = v.T("sent.over", "time", v.duration(mfa.SentCodeLife), "n", mfa.SentCodeTries)
	}
	if failed != nil {
		status = failed(&page)
	}
	page.Others = "" // the page before it has the list
	v.render(status, "sent", page)
}

// postSetUpCode takes the code of a set-up.
func (p *Pages) postSetUpCode(k mfa.Kind) func(*visit) {
	return func(v *visit) {
		id, ok := v.id()
		if !ok {
			return
		}
		out, err := p.gate.FinishAddress(v.r.Context(), &v.at, id, k, v.form("code"))
		switch {
		case err == nil:
			v.proceed(out)
		case errors.Is(err, mfa.ErrRejected), errors.Is(err, mfa.ErrExpired) && v.live():
			if st, _, ok := v.setUpAddress(k); ok {
				v.showSetUpCode(st, k, func(page *sentPage) int { return page.tryFailed(err) })
			}
		default:
			v.setUpFailed(err)
		}
	}
}

// postSetUpSend sends another code to the address that is being set up.
func (p *Pages) postSetUpSend(k mfa.Kind) func(*visit) {
	return func(v *visit) {
		st, _, ok := v.setUpAddress(k)
		if !ok {
			return
		}
		before := addressAsked(st, k)
		if before == nil {
			v.redirect(v.href(setUpAddressHref(k), paramAgain, againOver))
			return
		}
		out, to, err := p.gate.SetUpAddress(v.r.Context(), &v.at, st.Session.ID, k, mfa.AddressInput{Typed: before.Address}, true)
		var throttled *mfa.ThrottledError
		switch {
		case err == nil && out != nil:
			v.proceed(out)
		case err == nil:
			v.redirect(sentHref(v.Href(setUpAddressHref(k)+"/code"), &mfa.SentTo{At: before.At}, to))
		case errors.As(err, &throttled):
			v.showSetUpCode(st, k, func(page *sentPage) int { return page.sendFailed(err) })
		case errors.Is(err, mfa.ErrNotSent), errors.Is(err, mfa.ErrBusy):
			// The code before is gone, and with it what the session knew of the address. It is
			// not shown: one that was chosen has only been seen masked.
			v.addressFailed(k, mfa.AddressInput{}, err)
		default:
			v.setUpFailed(err)
		}
	}
}

// serveConfirm sends a code to the address on file, which opens a first enrollment
// (rule B17).
func (p *Pages) serveConfirm(v *visit) {
	st, ok := v.confirmOwed()
	if !ok {
		return
	}
	if !v.opened() {
		v.showConfirm(st, nil, nil) // its button sends
		return
	}
	to, err := p.gate.SendConfirmation(v.r.Context(), &v.at, st.Session.ID, false)
	v.confirmSent(st, to, err)
}

// confirmOwed asks whether a code to the address on file is owed, and has answered
// where it is not.
func (v *visit) confirmOwed() (*mfa.State, bool) {
	st, ok := v.state()
	if ok && st.Confirm == "" {
		v.redirect(v.Href("set-up")) // which looks at what is owed
		return nil, false
	}
	return st, ok
}

func (v *visit) confirmSent(st *mfa.State, to *mfa.SentTo, err error) {
	if err == nil {
		v.showConfirm(st, to, nil)
		return
	}
	var throttled *mfa.ThrottledError
	if errors.As(err, &throttled) || errors.Is(err, mfa.ErrNotSent) || errors.Is(err, mfa.ErrBusy) {
		v.showConfirm(st, v.confirmOnItsWay(st), func(page *sentPage) int { return page.sendFailed(err) })
		return
	}
	v.fail(err)
}

// confirmOnItsWay returns the code of a confirmation that is on its way, or nil.
func (v *visit) confirmOnItsWay(st *mfa.State) *mfa.SentTo {
	for _, c := range st.Session.Sent {
		if c.Purpose == mfa.LetterSetUp && c.Credential != "" && v.p.now().Before(c.Expires) {
			return &mfa.SentTo{Kind: c.Kind, Masked: st.Confirm, Credential: c.Credential, At: c.At, Expires: c.Expires, Again: c.At.Add(mfa.SendAgain)}
		}
	}
	return nil
}

func (v *visit) showConfirm(st *mfa.State, to *mfa.SentTo, failed func(*sentPage) int) {
	f := setUpFrame{frame: v.frame(v.T("confirm.title")), FromAccount: v.from == fromAccount && st.Session.Complete}
	if st.Decision.Action == mfa.SetUp && st.Decision.Skippable && !st.Session.Complete {
		f.Skip, f.SkipMeans = true, v.skipMeans(st)
	}
	k := mfa.Email
	if to != nil {
		k = to.Kind
	}
	page := v.newSentPage(f, k, to, v.Href("set-up/confirm"), v.Href("set-up/confirm"+sendAgain))
	page.Intro, page.PassHref = v.T("confirm.intro"), v.Href("set-up/pass")
	status := http.StatusOK
	if failed != nil {
		status = failed(&page)
	}
	v.render(status, "sent", page)
}

func (p *Pages) postConfirmSend(v *visit) {
	st, ok := v.confirmOwed()
	if !ok {
		return
	}
	to, err := p.gate.SendConfirmation(v.r.Context(), &v.at, st.Session.ID, true)
	if err == nil {
		v.redirect(sentHref(v.Href("set-up/confirm"), v.confirmOnItsWay(st), to))
		return
	}
	if st, ok = v.confirmOwed(); ok {
		v.confirmSent(st, nil, err)
	}
}

func (p *Pages) postConfirm(v *visit) {
	id, ok := v.id()
	if !ok {
		return
	}
	out, err := p.gate.Confirm(v.r.Context(), &v.at, id, v.form("code"))
	switch {
	case err == nil:
		v.proceedTo("set-up", out)
	case errors.Is(err, mfa.ErrRejected), errors.Is(err, mfa.ErrExpired) && v.live():
		if st, ok := v.confirmOwed(); ok {
			v.showConfirm(st, v.confirmOnItsWay(st), func(page *sentPage) int { return page.tryFailed(err) })
		}
	default:
		v.fail(err)
	}
}
