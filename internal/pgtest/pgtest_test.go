package pgtest_test

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/secondgate/secondgate/internal/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

func exec(t *testing.T, url, statement string) error {
	t.Helper()
	c, err := pgx.Connect(context.Background(), url)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close(context.Background()) }()
	_, err = c.Exec(context.Background(), statement)
	return err
}

func TestDatabase_eachIsEmpty(t *testing.T) {
	for range 2 {
		if err := exec(t, pgtest.Database(t), "CREATE TABLE x (n int)"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCopy_holdsWhatWasPreparedAndNothingElse(t *testing.T) {
	prepared := 0
	for range 2 {
		url := pgtest.Copy(t, func(url string) {
			prepared++
			if err := exec(t, url, "CREATE TABLE x (n int PRIMARY KEY)"); err != nil {
				t.Fatal(err)
			}
		})
		if err := exec(t, url, "INSERT INTO x VALUES (1)"); err != nil { // twice in one is an error
			t.Fatal(err)
		}
	}
	if prepared != 1 {
		t.Errorf("prepared %d times", prepared)
	}
}

func TestServer_keepsWhatWasWrittenBeforeItWasKilled(t *testing.T) {
	s := pgtest.Start(t)
	url := s.URL("postgres")
	if err := exec(t, url, "CREATE TABLE x (n int)"); err != nil {
		t.Fatal(err)
	}
	s.Kill(t)
	if err := exec(t, url, "SELECT 1"); err == nil {
		t.Error("it answers though it was killed")
	}
	s.Restart(t)
	if err := exec(t, url, "SELECT n FROM x"); err != nil {
		t.Error(err)
	}
}

func TestServer_Plans(t *testing.T) {
	s := pgtest.Start(t)
	url := s.URL("postgres")
	if err := exec(t, url, "CREATE TABLE x (n int PRIMARY KEY)"); err != nil {
		t.Fatal(err)
	}
	s.Explain(t, "force_generic_plan")
	s.Plans(t)
	if err := exec(t, url, "SELECT\n\tn\nFROM x WHERE n < 7 AND n + 0 = 3"); err != nil {
		t.Fatal(err)
	}
	if err := exec(t, url, "SELECT count(*) FROM x"); err != nil {
		t.Fatal(err)
	}
	plans := s.Plans(t)
	if len(plans) != 2 || plans[0].Query != "SELECT n FROM x WHERE n < 7 AND n + 0 = 3" || !strings.Contains(plans[1].Text, "Seq Scan on x") {
		t.Errorf("got %+v", plans)
	}
	if again := s.Plans(t); len(again) != 0 {
		t.Errorf("and again %+v", again)
	}
}
