package acme

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"github.com/mholt/acmez/v3/acme"
)

// storedAccount is an account as it is kept.
type storedAccount struct {
	Location string `json:"location"`
	Key      []byte `json:"key"` // PKCS #8
}

func (a *authority) accountKey() string {
	email := a.config.Email
	if email == "" {
		email = "default"
	}
	return "accounts/" + a.key + "/" + keyOf(email) + ".json"
}

// account returns the account that orders are made with: the one in the storage,
// or a new one, which is kept there. Whoever calls it holds the account's lock.
func (a *authority) account(ctx context.Context, storage Storage) (acme.Account, error) {
	text, err := storage.Load(a.accountKey())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return a.register(ctx, storage)
	case err != nil:
		return acme.Account{}, fmt.Errorf("cannot read the account: %w", err)
	}
	var stored storedAccount
	if err := json.Unmarshal(text, &stored); err != nil {
		return acme.Account{}, fmt.Errorf("cannot read the account %q of the storage: %w", a.accountKey(), err)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(stored.Key)
	key, ok := parsed.(*ecdsa.PrivateKey)
	if err != nil || !ok || stored.Location == "" {
		return acme.Account{}, fmt.Errorf("the account %q of the storage has no key that can be used", a.accountKey())
	}
	return acme.Account{Location: stored.Location, PrivateKey: key, Status: acme.StatusValid}, nil
}

// register makes a new account. Whoever writes the section agrees to the terms.
func (a *authority) register(ctx context.Context, storage Storage) (acme.Account, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return acme.Account{}, err
	}
	account := acme.Account{TermsOfServiceAgreed: true, PrivateKey: key}
	if a.config.Email != "" {
		account.Contact = []string{"mailto:" + a.config.Email}
	}
	if eab := a.config.EAB; eab.KeyID != "" {
		if err := account.SetExternalAccountBinding(ctx, a.client, acme.EAB{KeyID: eab.KeyID, MACKey: eab.MACKey}); err != nil {
			return account, err
		}
	}
	if account, err = a.client.NewAccount(ctx, account); err != nil {
		return account, fmt.Errorf("cannot make an account: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return account, err
	}
	text, err := json.Marshal(storedAccount{account.Location, der})
	if err != nil {
		return account, err
	}
	if err := storage.Save(a.accountKey(), text); err != nil {
		return account, fmt.Errorf("cannot keep the account: %w", err)
	}
	return account, nil
}

// forgotten reports whether the authority doesn't know the account any more, as
// after it has been set up anew.
func forgotten(err error) bool {
	problem, ok := errors.AsType[acme.Problem](err)
	return ok && problem.Type == acme.ProblemTypeAccountDoesNotExist
}
