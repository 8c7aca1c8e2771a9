package pages

import (
	"strings"

	"github.com/secondgate/secondgate/mfa"
)

// The words for an explanation. What the core says besides is for programs, in one
// language.
var (
	answerWords = map[string]string{
		mfa.Refuse.String(): "access.answer.refuse",
		mfa.SignIn.String(): "access.answer.sign_in",
		mfa.Verify.String(): "access.answer.verify",
		mfa.SetUp.String():  "access.answer.set_up",
		mfa.StepUp.String(): "access.answer.step_up",
		mfa.Allow.String():  "access.answer.allow",
	}
	noteWords = map[mfa.NoteCode]string{
		mfa.NoteOpen:      "access.note.open",
		mfa.NoteNoSession: "access.note.no_session",
		mfa.NoteMatcher:   "access.note.matcher",
		mfa.NoteRewrite:   "access.note.rewrite",
	}
	worthWords = map[mfa.FactorReason]string{
		mfa.FactorUsedUp:     "access.worth.used_up",
		mfa.FactorNotEnabled: "access.worth.not_enabled",
		mfa.FactorNotAsked:   "access.worth.not_asked",
		mfa.FactorLocked:     "access.worth.locked",
		mfa.FactorNotHere:    "access.worth.not_here",
		mfa.FactorOtherHost:  "access.worth.other_host",
		mfa.FactorNoSender:   "access.worth.no_sender",
	}
)

func (c *console) accessView(u *mfa.UserInfo, x *mfa.Access) *accessView {
	person := personName(u.DisplayName, u.Name)
	v := &accessView{
		Facts: []fact{{Label: c.T("console.column.user"), Text: person}, {Label: c.T("access.address"), Text: x.URL}},
		Steps: c.stepGrid(person, x), Asks: c.askGrid(x), Factors: c.worthGrid(x),
		User: c.userAddress(u.ID), Again: c.link("admin/explain"),
	}
	for _, n := range x.Notes {
		text := n.Text
		if key, ok := noteWords[n.Code]; ok {
			text = c.T(key, "person", person, "detail", n.Text)
		}
		v.Notes = append(v.Notes, text)
	}
	return v
}

// stepGrid says what is decided at each step of the way in.
func (c *console) stepGrid(person string, x *mfa.Access) grid {
	g := grid{ID: "steps", Caption: c.T("access.steps"), Columns: []string{c.T("access.column.with"), c.T("access.column.answer"), c.T("access.column.why")}}
	for i := range x.Steps {
		s := &x.Steps[i]
		answer, who := cell{Text: s.Action}, person
		if key, ok := answerWords[s.Action]; ok {
			answer.Text = c.T(key)
		}
		switch s.Action {
		case mfa.Allow.String():
			answer = cell{Tags: []tag{{answer.Text, "good"}}}
		case mfa.Refuse.String():
			answer = cell{Tags: []tag{{answer.Text, "bad"}}}
		}
		var kinds []string
		for _, k := range s.Factors {
			kinds = append(kinds, c.kind(k))
		}
		answer.Sub = strings.Join(kinds, ", ")
		if s.Stage == mfa.StageNobody {
			who = c.T("explain.somebody")
		}
		why := cell{Text: s.Why}
		if key, ok := reasonWords[s.Reason]; ok {
			why.Text = c.T(key, "person", who)
		}
		// Which rule it is, as events and the log have it, and at which gate.
		why.Sub = string(s.Reason)
		if s.Gate != "" {
			why.Sub += " · " + s.Gate
		}
		g.Rows = append(g.Rows, gridRow{[]cell{c.stage(s), answer, why}})
	}
	return g
}

// stage says how far somebody has come.
func (c *console) stage(s *mfa.AccessStep) cell {
	switch s.Stage {
	case mfa.StageNobody:
		return cell{Text: c.T("access.stage.nobody")}
	case mfa.StagePassword:
		return cell{Text: c.T("access.stage.password")}
	case mfa.StageFactor:
		in := cell{Text: c.T("access.stage.factor", "factor", c.kind(s.Proven))}
		if name := c.factorName(mfa.FactorInfo{Kind: s.Proven, Name: s.Name}); name != c.kind(s.Proven) {
			in.Sub = name
		}
		return in
	case mfa.StageSession:
		in := cell{Text: c.T("access.stage.session", "time", c.moment(s.Begun))}
		if s.Agent != "" {
			in.Sub = c.agent(s.Agent)
		}
		return in
	}
	return cell{Text: s.With}
}

// askGrid says what is asked there, and where each part stands.
func (c *console) askGrid(x *mfa.Access) grid {
	g := grid{ID: "asks", Caption: c.T("access.asks"), Columns: []string{c.T("access.column.ask"), c.T("console.column.from")}}
	for _, a := range x.Asks {
		what, from := cell{Text: a.What, Mono: true}, cell{Text: a.From}
		if a.Only != "" {
			what = cell{Text: c.T("access.members", "organization", string(a.Only))}
			if a.Missing {
				what.Tags = []tag{{c.T("access.members.missing"), "bad"}}
			}
		}
		switch a.Source {
		case mfa.FromPolicy:
			from.Text = c.T("console.policy")
			if key, ok := fromWords[a.Of]; ok {
				from.Sub = c.T(key)
			}
		case mfa.FromOrganization:
			from = cell{Text: c.T("access.from.organization", "organization", a.Of), Sub: c.T("console.member.by_hand"), Href: c.link("admin/organization", paramID, a.Of)}
			if a.ByAddress {
				from.Sub = c.T("console.member.by_address")
			}
		case mfa.FromRoute:
			from = cell{Text: c.T("access.from.route"), Sub: a.Of}
		}
		g.Rows = append(g.Rows, gridRow{[]cell{what, from}})
	}
	return g
}

// fromWords say where a field of the policy comes from.
var fromWords = map[string]string{
	mfa.FromConfiguration: "console.from.configuration",
	mfa.FromStore:         "console.from.stored",
	mfa.FromDefault:       "console.from.default",
}

// worthGrid says what each second step of the person is worth there.
func (c *console) worthGrid(x *mfa.Access) grid {
	g := grid{ID: "worth", Caption: c.T("access.factors"), Empty: c.T("console.factors.empty"),
		Columns: []string{c.T("console.column.factor"), c.T("access.column.counts")}}
	if len(x.Gates) == 0 {
		g.Empty = "" // nothing is asked, so nothing was looked at
	}
	for _, f := range x.Factors {
		what := cell{Text: c.factorName(mfa.FactorInfo{Kind: f.Kind, Name: f.Name})}
		if what.Text != c.kind(f.Kind) {
			what.Sub = c.kind(f.Kind)
		}
		counts := cell{Tags: []tag{{c.T("access.counts"), "good"}}}
		if !f.Counts {
			counts = cell{Tags: []tag{{c.T("access.counts.no"), ""}}, Sub: f.Why}
			if key, ok := worthWords[f.Reason]; ok {
				counts.Sub = c.T(key, "host", f.Host)
			}
		}
		g.Rows = append(g.Rows, gridRow{[]cell{what, counts}})
	}
	return g
}
