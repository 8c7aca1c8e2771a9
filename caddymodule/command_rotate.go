package caddymodule

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/secondgate/secondgate/internal/seal"
	"github.com/secondgate/secondgate/store"
)

// The two kinds of keys, as the help of "keys" tells them apart.
const (
	ofPrograms = "programs"
	ofGateway  = "gateway"
)

// groupKeys puts the commands of "keys" under the kind of key that they are about.
func groupKeys(c *cobra.Command, programs, own []*cobra.Command) {
	c.AddGroup(&cobra.Group{ID: ofPrograms, Title: "API keys, with which programs use the admin API:"},
		&cobra.Group{ID: ofGateway, Title: "The gateway's own keys, which seal the store and sign sessions:"})
	for _, sub := range programs {
		sub.GroupID = ofPrograms
	}
	for _, sub := range own {
		sub.GroupID = ofGateway
	}
	c.AddCommand(programs...)
	c.AddCommand(own...)
}

func (f *flags) keyStatusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Shows the gateway's own keys, and how far a rotation is",
		Long: "Shows the keys that seal the store and sign sessions, what each may still do, when\n" +
			"the old ones go, and how far a rotation is.",
		Example: `  secondgate mfa keys status`,
		Args:    noArgs,
		RunE:    f.run(opKeyStatus, nil),
	}
}

func (f *flags) masterCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "master",
		Short: "Prints a new master key, which seals the gateway's own keys",
		Long: "Prints a new random master key on standard output, and keeps it nowhere. It seals the\n" +
			"keys of the gateway: always where they lie in a database, and where you want it in\n" +
			"their file. Without it nothing in the store can be read: keep a copy apart from the\n" +
			"store and its backups.",
		Example: `  (umask 077; secondgate mfa keys master > /etc/secondgate/master-key)`,
		Args:    noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(c.OutOrStdout(), seal.NewMaster())
			return err
		},
	}
}

func (f *flags) rotateCommand() *cobra.Command {
	var in adminRequest
	var detach bool
	c := &cobra.Command{
		Use:   "rotate",
		Short: "Replaces the gateway's own keys while it serves; nobody is signed out",
		Long: "Makes a new key that seals the store and signs sessions, and seals every record with\n" +
			"it while the gateway serves. The old key verifies what it has signed until no session\n" +
			"of it can live, and is removed then, by itself. Nobody is signed out.\n\n" +
			"The command shows how far it is. It may be ended: the gateway goes on, also after a\n" +
			"restart. Say it again to see more.\n\n" +
			"Where somebody has got at the keys, --compromised ends everything that they signed at\n" +
			"once: everybody signs in again. --revoke ends what one old key signed.",
		Example: `  secondgate mfa keys rotate
  secondgate mfa keys rotate --compromised
  secondgate mfa keys rotate --revoke 5f1b0c9d`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if in.Compromised && in.Key != "" {
				return fail(c, refused("--compromised ends what all old keys signed, that one's as well; leave --revoke out"))
			}
			if err := f.agreed(c, in); err != nil {
				return fail(c, err)
			}
			return f.rotate(c, in, detach)
		},
	}
	c.Flags().BoolVar(&in.Compromised, "compromised", false, "The keys were stolen: end every session, and believe the new key alone")
	c.Flags().StringVar(&in.Key, "revoke", "", "ID of an old key: end what it signed at once")
	c.Flags().BoolVar(&detach, "detach", false, "Do not wait until it is done")
	f.yesFlag(c)
	return c
}

// agreed asks a person before people are signed out.
func (f *flags) agreed(c *cobra.Command, in adminRequest) error {
	what := ""
	switch {
	case in.Compromised:
		what = "Everybody is signed out at once, on every node, and signs in again. Browsers that were known are strange again."
	case in.Key != "":
		what = "Whoever has a session that key " + in.Key + " signed is signed out at once, and signs in again."
	default:
		return nil
	}
	return f.confirm(c, what, "Type yes", "yes")
}

// lookEvery is how often the command asks how far it is.
const lookEvery = 500 * time.Millisecond

// rotate begins a rotation and shows how it goes.
func (f *flags) rotate(c *cobra.Command, in adminRequest, detach bool) error {
	bar := f.newProgress(c.ErrOrStderr(), "")
	f.told = bar.showStage
	answer, by, err := f.perform(c.Context(), opKeyRotate, in)
	if err != nil {
		bar.done("")
		return fail(c, err)
	}
	if !f.json {
		bar.done("")
		fmt.Fprintln(c.ErrOrStderr(), by)
	}
	done := *answer
	for working(answer.Rotation) && !detach {
		bar.showStage(answer.Rotation)
		select {
		case <-c.Context().Done():
			return c.Context().Err()
		case <-time.After(lookEvery):
		}
		if answer, _, err = f.perform(c.Context(), opKeyStatus, adminRequest{}); err != nil {
			bar.done("")
			return fail(c, fmt.Errorf("%w. The rotation goes on by itself; to see how far it is: secondgate mfa keys status", err))
		}
	}
	bar.done("") // what comes of it is said with the answer
	done.Rotation = answer.Rotation
	if f.json {
		return encode(c.OutOrStdout(), &done)
	}
	show(c.OutOrStdout(), opKeyRotate, &done)
	return nil
}

// showStage shows how far a rotation is.
func (p *progress) showStage(s *store.RotationStatus) {
	if s == nil {
		return
	}
	part := -1.0
	if s.Stage == "sealing" && s.Progress.Total > 0 {
		part = float64(s.Progress.Looked) / float64(s.Progress.Total)
	}
	p.show(s.Stage, stageOf(s), part)
}

// stageOf says in words what is being done.
func stageOf(s *store.RotationStatus) string {
	switch s.Stage {
	case "waiting":
		return "The new key waits until every node has it."
	case "sealing":
		if s.Progress.Total == 0 {
			return "The records are being counted."
		}
		return fmt.Sprintf("Records are sealed anew: %d of %d looked at, %d sealed.", s.Progress.Looked, s.Progress.Total, s.Progress.Sealed)
	case "overlap":
		return "All records are sealed with the new key. An old one stays until nothing that it signed can be good any more, and goes by itself."
	}
	return "No rotation is under way."
}

// does says in words what a key of that status is for.
var does = map[seal.Status]string{
	seal.Pending:     "waits",
	seal.Primary:     "seals and signs",
	seal.DecryptOnly: "verifies what it signed",
	seal.Retired:     "revoked",
}

func showRotation(w io.Writer, s *store.RotationStatus) {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "KEY\tDOES\tSINCE\tMADE\tGOES AFTER")
	for _, k := range s.Keys {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", k.ID, does[k.Status], when(k.Since), when(k.Created), when(k.Until))
	}
	_ = t.Flush()
	fmt.Fprintf(w, "\n%s\n", stageOf(s))
	if n := s.Progress.Damaged; n > 0 {
		fmt.Fprintf(w, "%d records cannot be read with any key, and stay as they are: restore the newest backup.\n", n)
	}
}
