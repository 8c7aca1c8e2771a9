package pages

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// consoleCampaigns is what the console asks of the core about campaigns.
type consoleCampaigns interface {
	Campaigns(ctx context.Context) ([]mfa.CampaignInfo, error)
	Campaign(ctx context.Context, of mfa.OrganizationID) (*mfa.CampaignInfo, error)
	SetCampaign(ctx context.Context, in mfa.CampaignInput) error
	EndCampaign(ctx context.Context, of mfa.OrganizationID) error
}

// campaignsPage lists the campaigns, each with its progress.
type campaignsPage struct {
	frame
	Campaigns []campaignRow
	New       string
}

// campaignRow is one campaign.
type campaignRow struct {
	Title    string
	Text     []string
	Bar      bar
	Note     string
	Tags     []tag
	Actions  []rowAction
	ListHref string // those who have not reached the goal
}

func (p *Pages) serveCampaigns(c *console) {
	list, err := c.admin.Campaigns(c.r.Context())
	if err != nil {
		c.failed(err)
		return
	}
	page := campaignsPage{frame: c.frame(c.T("console.campaigns"))}
	if c.may(mfa.ChangeOrganizations) || c.may(mfa.ChangePolicy) {
		page.New = c.link("admin/campaign")
	}
	for i := range list {
		page.Campaigns = append(page.Campaigns, c.campaignRow(&list[i], page.New != ""))
	}
	c.render(http.StatusOK, "console_campaigns", page)
}

// campaignOf is the address parameter of a campaign: everybody's has no organization.
func campaignOf(of mfa.OrganizationID) string {
	if of == "" {
		return everybodys
	}
	return string(of)
}

// everybodys stands for the campaign of everybody. No organization can be called so.
const everybodys = "*"

func (c *console) campaignRow(in *mfa.CampaignInfo, change bool) campaignRow {
	row := campaignRow{Title: in.Title, Note: in.Note}
	if row.Title == "" {
		if row.Title = string(in.Organization); row.Title == "" {
			row.Title = c.T("console.everybody")
		}
	}
	row.Bar = c.bar(c.T("console.campaign.reached"), "good", "", in.Reached, in.Users)
	row.Text = []string{c.T("console.campaign.until", "time", c.moment(in.Deadline))}
	switch {
	case in.Running:
		row.Tags = []tag{{c.words.count("console.campaign.left", in.DaysLeft), "good"}}
	default:
		row.Tags = []tag{{c.T("console.campaign.over"), ""}}
	}
	row.Text = append(row.Text, c.T("console.campaign.goal", "factors", c.kindList(in.Factors)))
	if in.Require {
		row.Text = append(row.Text, c.T("console.campaign.require"))
	}
	if n := len(in.Reminders); n > 0 {
		sent := 0
		for _, r := range in.Reminders {
			if r.Done {
				sent++
			}
		}
		row.Text = append(row.Text, c.T("console.campaign.reminders", "n", sent, "all", n, "letters", in.Sent))
	}
	if change {
		of := campaignOf(in.Organization)
		row.Actions = []rowAction{
			c.rowAction(c.T("console.change"), row.Title, c.link("admin/campaign", paramID, of), false),
			c.rowAction(c.T("console.campaign.end"), row.Title, c.link("admin/campaign/end", paramID, of), true),
		}
	}
	if in.Reached < in.Users {
		row.ListHref = c.link("admin/forecast", paramOf, string(in.Organization))
	}
	return row
}

// campaign returns the campaign of the address, nil where it names none. It has answered
// where it reports false.
func (c *console) campaign() (*mfa.CampaignInfo, bool) {
	id := c.query.Get(paramID)
	if id == "" {
		return nil, true
	}
	if id == everybodys {
		id = ""
	}
	in, err := c.admin.Campaign(c.r.Context(), mfa.OrganizationID(id))
	if err != nil {
		c.failed(err)
		return nil, false
	}
	return in, true
}

// campaignForm asks what a campaign is to be.
func (c *console) campaignForm(in *mfa.CampaignInfo) formPage {
	page := formPage{frame: c.frame(c.T("console.campaign.start")), Text: []string{c.T("console.campaign.text")}, Submit: c.T("console.campaign.start"), Cancel: c.link("admin/campaigns")}
	deadline, remind, require, factors := "", "14, 7, 1", false, mfa.Kinds(0)
	switch {
	case c.r.Method == http.MethodPost:
		deadline, remind, require = c.form("deadline"), c.form("remind"), c.form("require") == "yes"
		factors, _ = mfa.ParseKinds(c.r.PostForm["factors"])
	case in != nil:
		deadline, require = in.Deadline.UTC().Format(dayFormat), in.Require
		if in.Named {
			factors = in.Factors
		}
		var days []string
		for _, r := range in.Reminders {
			days = append(days, strconv.Itoa(int((in.Deadline.Sub(r.At)+12*time.Hour)/(24*time.Hour))))
		}
		remind = strings.Join(days, ", ")
	}
	if in != nil {
		page.frame, page.Submit = c.frame(c.T("console.campaign.change")), c.T("save")
	} else if of := c.organizationOptions(mfa.OrganizationID(c.form("organization"))); len(of) > 0 || c.may(mfa.ChangePolicy) {
		page.Fields = append(page.Fields, field{Kind: "select", Name: "organization", Label: c.T("console.campaign.whom"),
			Options: append([]option{{Value: "", Label: c.T("console.everybody"), Selected: c.form("organization") == ""}}, of...)})
	}
	which := field{Kind: "checks", Name: "factors", Label: c.T("console.field.factors"), Hint: c.T("console.campaign.factors.hint")}
	for _, k := range mfa.PrimaryKinds.List() {
		which.Options = append(which.Options, option{Value: string(k), Label: c.kind(k), Selected: factors.Has(k)})
	}
	page.Fields = append(page.Fields,
		field{Kind: "text", Name: "deadline", Label: c.T("console.campaign.deadline"), Hint: c.T("console.campaign.deadline.hint"), Value: deadline, Max: 10},
		which,
		field{Kind: "text", Name: "remind", Label: c.T("console.campaign.remind"), Hint: c.T("console.campaign.remind.hint"), Value: remind, Max: 60},
		field{Kind: "checks", Name: "require", Label: c.T("console.campaign.then"), Options: []option{{"yes", c.T("console.campaign.require.do"), "", require}}},
	)
	return page
}

func (p *Pages) serveCampaign(c *console) {
	if in, ok := c.campaign(); ok {
		c.show(http.StatusOK, c.campaignForm(in))
	}
}

func (p *Pages) postCampaign(c *console) {
	old, ok := c.campaign()
	if !ok {
		return
	}
	page := c.campaignForm(old)
	in, wrong := c.readCampaign(old)
	if wrong != nil {
		page.wrong(wrong)
		c.show(http.StatusUnprocessableEntity, page)
		return
	}
	if err := c.admin.SetCampaign(c.r.Context(), in); err != nil {
		c.notSaved(page, err)
		return
	}
	c.done("saved", "admin/campaigns")
}

// readCampaign reads the form. A deadline is the end of its day.
func (c *console) readCampaign(old *mfa.CampaignInfo) (mfa.CampaignInput, *fieldError) {
	in := mfa.CampaignInput{Organization: mfa.OrganizationID(c.form("organization")), Require: c.form("require") == "yes"}
	if old != nil {
		in.Organization = old.Organization
	}
	day, err := time.Parse(dayFormat, strings.TrimSpace(c.form("deadline")))
	if err != nil {
		return in, &fieldError{"deadline", c.T("console.audit.day")}
	}
	in.Deadline = day.Add(24*time.Hour - time.Second)
	if named := c.r.PostForm["factors"]; len(named) > 0 {
		if in.Factors, err = mfa.ParseKinds(named); err != nil {
			return in, &fieldError{"factors", c.T("console.campaign.factors.hint")}
		}
	}
	for _, word := range strings.FieldsFunc(c.form("remind"), func(r rune) bool { return r == ' ' || r == ',' }) {
		n, err := strconv.Atoi(word)
		if err != nil || n < 1 || n > 366 {
			return in, &fieldError{"remind", c.T("console.campaign.remind.wrong")}
		}
		if d := time.Duration(n) * 24 * time.Hour; !slices.Contains(in.Remind, d) {
			in.Remind = append(in.Remind, d)
		}
	}
	return in, nil
}

// ending asks before a campaign ends. It has answered where it reports false.
func (c *console) ending() (formPage, *mfa.CampaignInfo, bool) {
	in, ok := c.campaign()
	if ok && in == nil {
		c.missing()
	}
	if !ok || in == nil {
		return formPage{}, nil, false
	}
	row := c.campaignRow(in, false)
	return formPage{
		frame: c.frame(c.T("console.campaign.end.title", "name", row.Title)), Danger: true, Submit: c.T("console.campaign.end"),
		Cancel: c.link("admin/campaigns"), Text: []string{c.T("console.campaign.end.text")},
	}, in, true
}

func (p *Pages) serveEndCampaign(c *console) {
	if page, _, ok := c.ending(); ok {
		c.show(http.StatusOK, page)
	}
}

func (p *Pages) postEndCampaign(c *console) {
	page, in, ok := c.ending()
	if !ok {
		return
	}
	if err := c.admin.EndCampaign(c.r.Context(), in.Organization); err != nil {
		c.refuse(page, err)
		return
	}
	c.done("removed", "admin/campaigns")
}
