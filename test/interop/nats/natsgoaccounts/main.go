// nats.go with decentralised accounts, whose tokens nats-io/jwt makes: `make DIR` writes them, with a configuration for AnyMQ and one for
// nats-server, and then, without arguments, they are used on the server at NATS with the keys in ACCOUNTS.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"anymq.example/interop/cases"
	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

type seeds struct{ Orders, Billing, Signing, Scoped, Revoked string }

func key(make func() (nkeys.KeyPair, error)) (nkeys.KeyPair, string, string) {
	pair, err := make()
	cases.Must(err)
	public, err := pair.PublicKey()
	cases.Must(err)
	seed, err := pair.Seed()
	cases.Must(err)
	return pair, public, string(seed)
}

func write(folder, name, content string) {
	cases.Must(os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600))
}

func makeTokens(folder string) {
	operator, operatorKey, _ := key(nkeys.CreateOperator)
	_, ordersKey, ordersSeed := key(nkeys.CreateAccount)
	_, billingKey, billingSeed := key(nkeys.CreateAccount)
	_, systemKey, _ := key(nkeys.CreateAccount)
	_, signingKey, signingSeed := key(nkeys.CreateAccount)
	_, scopedKey, scopedSeed := key(nkeys.CreateAccount)
	_, revokedKey, revokedSeed := key(nkeys.CreateUser)

	operatorClaims := jwt.NewOperatorClaims(operatorKey)
	operatorClaims.SystemAccount = systemKey
	operatorToken, err := operatorClaims.Encode(operator)
	cases.Must(err)

	account := func(public string, change func(*jwt.AccountClaims)) string {
		claims := jwt.NewAccountClaims(public)
		claims.Name = public[:5]
		change(claims)
		token, err := claims.Encode(operator)
		cases.Must(err)
		return token
	}
	tokens := []string{
		account(ordersKey, func(claims *jwt.AccountClaims) {
			claims.Limits.JetStreamLimits = jwt.JetStreamLimits{MemoryStorage: jwt.NoLimit, DiskStorage: jwt.NoLimit, Streams: 1, Consumer: jwt.NoLimit}
			claims.SigningKeys.Add(signingKey)
			scope := jwt.NewUserScope()
			scope.Key = scopedKey
			scope.Template.Pub.Allow.Add("only.this")
			claims.SigningKeys.AddScopedSigner(scope)
			claims.RevokeAt(revokedKey, time.Now().Add(time.Minute))
		}),
		account(billingKey, func(claims *jwt.AccountClaims) { claims.Limits.Payload = 10 }),
		account(systemKey, func(*jwt.AccountClaims) {}),
	}

	formatted, err := jwt.DecorateJWT(operatorToken)
	cases.Must(err)
	write(folder, "operator.jwt", string(formatted))
	lines := []string{"nats:", "  operator: " + filepath.Join(folder, "operator.jwt"), "  accounts:"}
	preload := []string{}
	for index, public := range []string{ordersKey, billingKey, systemKey} {
		lines = append(lines, "    - "+tokens[index])
		preload = append(preload, fmt.Sprintf("  %s: %q", public, tokens[index]))
	}
	lines = append(lines, "  namespaces:", "    "+ordersKey+": orders")
	write(folder, "anymq.yaml", strings.Join(lines, "\n")+"\n")
	write(folder, "nats.conf", fmt.Sprintf(
		"operator: %s\nsystem_account: %s\nresolver: MEMORY\nresolver_preload: {\n%s\n}\njetstream { store_dir: %q }\n",
		filepath.Join(folder, "operator.jwt"), systemKey, strings.Join(preload, "\n"), filepath.Join(folder, "store"),
	))
	made, err := json.Marshal(seeds{ordersSeed, billingSeed, signingSeed, scopedSeed, revokedSeed})
	cases.Must(err)
	write(folder, "keys.json", string(made))
}

// A user of the account whose key signs it, as an option to connect with.
func user(signer string, account string, own nkeys.KeyPair, change func(*jwt.UserClaims)) nats.Option {
	issuer, err := nkeys.FromSeed([]byte(signer))
	cases.Must(err)
	public, err := own.PublicKey()
	cases.Must(err)
	claims := jwt.NewUserClaims(public)
	if account != signer {
		above, err := nkeys.FromSeed([]byte(account))
		cases.Must(err)
		claims.IssuerAccount, err = above.PublicKey()
		cases.Must(err)
	}
	change(claims)
	token, err := claims.Encode(issuer)
	cases.Must(err)
	return nats.UserJWT(
		func() (string, error) { return token, nil },
		func(nonce []byte) ([]byte, error) { return own.Sign(nonce) },
	)
}

func newUser() nkeys.KeyPair {
	pair, err := nkeys.CreateUser()
	cases.Must(err)
	return pair
}

func nothing(*jwt.UserClaims) {}

func open(option nats.Option, more ...nats.Option) (*nats.Conn, error) {
	options := append([]nats.Option{option, nats.NoReconnect()}, more...)
	return nats.Connect("nats://"+os.Getenv("NATS"), options...)
}

func main() {
	if len(os.Args) == 3 && os.Args[1] == "make" {
		makeTokens(os.Args[2])
		return
	}
	content, err := os.ReadFile(os.Getenv("ACCOUNTS"))
	cases.Must(err)
	var keys seeds
	cases.Must(json.Unmarshal(content, &keys))
	refused := func(option nats.Option) {
		connection, err := open(option)
		if err == nil {
			connection.Close()
			panic("it was let in")
		}
		cases.Equal(strings.ToLower(err.Error()), nats.ErrAuthorization.Error(), "error")
	}
	cases.Run([]cases.Case{
		{Name: "accounts do not hear each other", Body: func(ctx context.Context) error {
			ours, err := open(user(keys.Orders, keys.Orders, newUser(), nothing))
			cases.Must(err)
			defer ours.Close()
			theirs, err := open(user(keys.Billing, keys.Billing, newUser(), nothing))
			cases.Must(err)
			defer theirs.Close()
			subscription, err := ours.SubscribeSync("a.>")
			cases.Must(err)
			cases.Must(ours.Flush())
			cases.Must(theirs.Publish("a.b", []byte("theirs")))
			cases.Must(theirs.Flush())
			cases.Must(ours.Publish("a.b", []byte("ours")))
			message, err := subscription.NextMsg(5 * time.Second)
			cases.Must(err)
			cases.Equal(string(message.Data), "ours", "data")
			return nil
		}},
		{Name: "streams are the account's, as many as it may have", Body: func(ctx context.Context) error {
			ours, err := open(user(keys.Signing, keys.Orders, newUser(), nothing))
			cases.Must(err)
			defer ours.Close()
			streams, err := ours.JetStream()
			cases.Must(err)
			_, err = streams.AddStream(&nats.StreamConfig{Name: "ORDERS", Subjects: []string{"orders.>"}})
			cases.Must(err)
			_, err = streams.Publish("orders.a", []byte("x"))
			cases.Must(err)
			_, err = streams.AddStream(&nats.StreamConfig{Name: "MORE", Subjects: []string{"more.>"}})
			if err == nil || !strings.Contains(err.Error(), "maximum number of streams reached") {
				return fmt.Errorf("a second stream: %v", err)
			}
			cases.Must(streams.DeleteStream("ORDERS"))
			theirs, err := open(user(keys.Billing, keys.Billing, newUser(), nothing))
			cases.Must(err)
			defer theirs.Close()
			none, err := theirs.JetStream()
			cases.Must(err)
			_, err = none.AccountInfo()
			if err == nil {
				return fmt.Errorf("an account without storage has streams")
			}
			return nil
		}},
		{Name: "who is not let in", Body: func(ctx context.Context) error {
			revoked, err := nkeys.FromSeed([]byte(keys.Revoked))
			cases.Must(err)
			refused(user(keys.Orders, keys.Orders, revoked, nothing))
			_, _, stranger := key(nkeys.CreateAccount)
			refused(user(stranger, stranger, newUser(), nothing))
			refused(user(keys.Billing, keys.Orders, newUser(), nothing))
			refused(user(keys.Orders, keys.Orders, newUser(), func(claims *jwt.UserClaims) { claims.Expires = time.Now().Unix() - 10 }))
			refused(user(keys.Orders, keys.Orders, newUser(), func(claims *jwt.UserClaims) {
				claims.AllowedConnectionTypes.Add(jwt.ConnectionTypeWebsocket)
			}))
			refused(user(keys.Orders, keys.Orders, newUser(), func(claims *jwt.UserClaims) { claims.Src.Add("10.0.0.0/8") }))
			return nil
		}},
		{Name: "permissions of the user and of the key that signed it", Body: func(ctx context.Context) error {
			problems := make(chan string, 10)
			heard := nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { problems <- err.Error() })
			expect := func(words string) {
				select {
				case problem := <-problems:
					if !strings.Contains(strings.ToLower(problem), strings.ToLower(words)) {
						panic(problem + " is not " + words)
					}
				case <-time.After(5 * time.Second):
					panic("no error: " + words)
				}
			}
			limited, err := open(user(keys.Orders, keys.Orders, newUser(), func(claims *jwt.UserClaims) {
				claims.Pub.Allow.Add("ok.*")
				claims.Sub.Deny.Add("secret.>")
			}), heard)
			cases.Must(err)
			defer limited.Close()
			cases.Must(limited.Publish("ok.a", nil))
			cases.Must(limited.Publish("not.ok", nil))
			expect(`Permissions Violation for Publish to "not.ok"`)
			_, err = limited.SubscribeSync("secret.a")
			cases.Must(err)
			expect(`Permissions Violation for Subscription to "secret.a"`)
			scoped, err := open(user(keys.Scoped, keys.Orders, newUser(), func(claims *jwt.UserClaims) {
				claims.UserPermissionLimits = jwt.UserPermissionLimits{}
			}), heard)
			cases.Must(err)
			defer scoped.Close()
			cases.Must(scoped.Publish("only.this", nil))
			cases.Must(scoped.Publish("another", nil))
			expect(`Permissions Violation for Publish to "another"`)
			return nil
		}},
		{Name: "who may only answer", Body: func(ctx context.Context) error {
			service, err := open(user(keys.Orders, keys.Orders, newUser(), func(claims *jwt.UserClaims) {
				claims.Resp = &jwt.ResponsePermission{MaxMsgs: 1, Expires: time.Minute}
			}))
			cases.Must(err)
			defer service.Close()
			_, err = service.Subscribe("service", func(message *nats.Msg) { _ = message.Respond([]byte("answer")) })
			cases.Must(err)
			cases.Must(service.Flush())
			asking, err := open(user(keys.Orders, keys.Orders, newUser(), nothing))
			cases.Must(err)
			defer asking.Close()
			answer, err := asking.Request("service", nil, 5*time.Second)
			cases.Must(err)
			cases.Equal(string(answer.Data), "answer", "answer")
			return nil
		}},
	})
}
