// Command client is a program with a key: it uses the client that was generated from the
// OpenAPI document, as somebody's help desk would. It says what it found, one line each.
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"os"

	"github.com/secondgate/secondgate/tools/client"
)

func main() {
	log.SetFlags(0)
	withKey := func(_ context.Context, r *http.Request) error {
		r.Header.Set("Authorization", "Bearer "+os.Getenv("SECONDGATE_KEY"))
		return nil
	}
	c, err := client.NewClientWithResponses(os.Getenv("SECONDGATE_URL"), client.WithRequestEditorFn(withKey))
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()

	who, err := c.ReadActorWithResponse(ctx, nil)
	if err != nil || who.JSON200 == nil {
		log.Fatalf("who asks: %v %s", err, who.Body)
	}
	fmt.Println("I am", who.JSON200.Name)

	id := list(ctx, c)

	gone, err := c.RemoveUserFactorWithResponse(ctx, id, "app", nil)
	if err != nil || gone.JSON200 == nil {
		log.Fatalf("removing a factor: %v %s", err, gone.Body)
	}
	for _, f := range gone.JSON200.Factors {
		fmt.Println("left is", f.Factor)
	}

	again, err := c.RemoveUserFactorWithResponse(ctx, id, "app", nil)
	if err != nil || again.ApplicationproblemJSON404 == nil {
		log.Fatalf("removing it again: %v %s", err, again.Body)
	}
	fmt.Println("again:", again.ApplicationproblemJSON404.Status, *again.ApplicationproblemJSON404.Reason)

	bypass, err := c.MakeBypassWithResponse(ctx, id, nil, client.BypassRequest{Why: "lost the phone"})
	if err != nil || bypass.JSON201 == nil || bypass.JSON201.Secret == "" {
		log.Fatalf("making a bypass: %v %s", err, bypass.Body)
	}

	small, err := c.ListKeysWithResponse(ctx, nil)
	if err != nil || small.ApplicationproblemJSON403 == nil {
		log.Fatalf("listing keys: %v %s", err, small.Body)
	}
	fmt.Println("keys:", small.ApplicationproblemJSON403.Status, *small.ApplicationproblemJSON403.Reason)
}

// list walks along all pages and returns the last user.
func list(ctx context.Context, c *client.ClientWithResponses) (last string) {
	search, limit := "target", client.Limit(2)
	params := &client.ListUsersParams{Search: &search, Limit: &limit}
	for page := 1; ; page++ {
		users, err := c.ListUsersWithResponse(ctx, params)
		if err != nil || users.JSON200 == nil {
			log.Fatalf("listing users: %v %s", err, users.Body)
		}
		for _, u := range users.JSON200.Users {
			fmt.Println("page", page, "has", u.Name, "with", len(u.Factors))
			last = u.Id
		}
		if users.JSON200.Next == nil {
			return last
		}
		params.Cursor = users.JSON200.Next
	}
}
