package caddymodule

import (
	"github.com/spf13/cobra"

	"github.com/secondgate/secondgate/mfa"
)

// completeWords says what a shell offers behind a flag. That the flag is not there is a
// mistake of ours, which the tests find.
func completeWords(c *cobra.Command, flag string, words ...string) {
	err := c.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
	if err != nil {
		panic(err)
	}
}

func factorWords() []string {
	var words []string
	for _, k := range factorsHere.List() {
		words = append(words, string(k))
	}
	return words
}

func completeFactors(c *cobra.Command, flag string) { completeWords(c, flag, factorWords()...) }

// completeArg says what a shell offers for the n-th word of a command.
func completeArg(n int, words ...string) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) != n {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return words, cobra.ShellCompDirectiveNoFileComp
	}
}

// completePolicy offers the fields of the policy, and what can stand in one.
func completePolicy(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	var words []string
	switch {
	case len(args) == 0:
		for _, f := range mfa.PolicyFields() {
			words = append(words, f.Name)
		}
	case args[0] == "factors":
		words = append(factorWords(), "off")
	case len(args) > 1:
	case args[0] == "require", args[0] == "auto_enroll", args[0] == "report_only":
		words = []string{"on", "off"}
	case args[0] == "prompt":
		words = []string{"at_registration", "at_next_sign_in", "never"}
	case args[0] == "organization_required":
		words = []string{"at_sign_in", "at_access"}
	case args[0] == "enrollment":
		words = []string{"open", "confirm", "pass"}
	}
	return words, cobra.ShellCompDirectiveNoFileComp
}
