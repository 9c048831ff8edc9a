package sops_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/periplus-fleet/periplus/api/sops"
)

// The documents in testdata were made by the sops command: see make.sh there.

func read(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func keys(t *testing.T, names ...string) *sops.Keys {
	t.Helper()
	data := map[string][]byte{}
	for _, name := range names {
		data[name] = read(t, name)
	}
	keys, err := sops.ReadKeys(data)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// plain is what a document holds, as another reader than ours sees it.
func plain(t *testing.T, name string) map[string]any {
	t.Helper()
	source := read(t, filepath.Join("plain", name))
	if filepath.Ext(name) == ".json" {
		return decode(t, source)
	}
	data, err := yaml.YAMLToJSON(source)
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, data)
}

func decode(t *testing.T, data []byte) map[string]any {
	t.Helper()
	var value map[string]any
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if err := decoder.Decode(&value); err != nil {
		t.Fatal(err)
	}
	return value
}

// asJSON takes the types of numbers away.
func asJSON(t *testing.T, value any) string {
	t.Helper()
	data, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestOpen(t *testing.T) {
	cases := map[string]struct {
		reason          string
		document, plain string
		key             string
	}{
		"Everything":        {reason: "sops without options encrypts all values", document: "whole.yaml", plain: "secret.yaml"},
		"EncryptedRegex":    {reason: "the usual way to seal a Secret", document: "regex.yaml", plain: "secret.yaml"},
		"UnencryptedRegex":  {reason: "the other way round", document: "unencryptedregex.yaml", plain: "secret.yaml"},
		"MACOnlyEncrypted":  {reason: "the MAC leaves out what is in clear", document: "maconly.yaml", plain: "secret.yaml"},
		"EncryptedSuffix":   {reason: "keys below one with the suffix are encrypted too", document: "suffix.yaml", plain: "suffix.yaml"},
		"UnencryptedSuffix": {reason: "another suffix than the default", document: "unencryptedsuffix.yaml", plain: "suffix.yaml"},
		"EncryptedComment":  {reason: "a comment says what is encrypted", document: "comments.yaml", plain: "comments.yaml"},
		"UnencryptedComment": {reason: "a comment says what is not, and other comments are encrypted themselves",
			document: "nocomments.yaml", plain: "nocomments.yaml"},
		"Types":         {reason: "every type of value comes back as it was", document: "types.yaml", plain: "types.yaml"},
		"TypesInClear":  {reason: "the MAC is over values in clear too", document: "keep.yaml", plain: "types.yaml"},
		"JSON":          {reason: "numbers and escapes are JSON's", document: "types.json", plain: "types.json"},
		"PGPCurve":      {reason: "OpenPGP with elliptic curves", document: "curve.yaml", plain: "secret.yaml", key: "curve.asc"},
		"PGPRSA":        {reason: "OpenPGP with RSA", document: "rsa.yaml", plain: "secret.yaml", key: "rsa.asc"},
		"OneOfTwoByAge": {reason: "either key opens it", document: "both.yaml", plain: "secret.yaml"},
		"OneOfTwoByPGP": {reason: "either key opens it", document: "both.yaml", plain: "secret.yaml", key: "curve.asc"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			key := tc.key
			if key == "" {
				key = "right.agekey"
			}
			format := sops.Format(strings.TrimPrefix(filepath.Ext(tc.document), "."))
			got, err := sops.Open(read(t, tc.document), format, keys(t, key))
			if err != nil {
				t.Fatalf("%s: %v", tc.reason, err)
			}
			if diff := cmp.Diff(asJSON(t, plain(t, tc.plain)), asJSON(t, got)); diff != "" {
				t.Errorf("%s: -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestIntegersStayIntegers(t *testing.T) {
	for _, document := range []string{"types.yaml", "types.json"} {
		got, err := sops.Open(read(t, document), sops.Format(strings.TrimPrefix(filepath.Ext(document), ".")), keys(t, "right.agekey"))
		if err != nil {
			t.Fatal(err)
		}
		if got["big"] != int64(9007199254740993) {
			t.Errorf("%s: big is %v (%T)", document, got["big"], got["big"])
		}
	}
}

func TestPlain(t *testing.T) {
	cases := map[string]struct {
		reason          string
		document, plain string
		format          sops.Format
	}{
		"YAML":   {reason: "values files", document: "types.yaml", plain: "types.yaml", format: sops.YAML},
		"JSON":   {reason: "values files", document: "types.json", plain: "types.json", format: sops.JSON},
		"Binary": {reason: "any file, byte for byte", document: "file.bin", plain: "file.txt", format: sops.Binary},
		"Dotenv": {reason: "generator inputs", document: "app.env", plain: "app.env", format: sops.Dotenv},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := sops.Plain(read(t, tc.document), tc.format, keys(t, "wrong.agekey", "right.agekey"))
			if err != nil {
				t.Fatalf("%s: %v", tc.reason, err)
			}
			want := string(read(t, filepath.Join("plain", tc.plain)))
			switch tc.format {
			case sops.YAML, sops.JSON:
				data := got
				if tc.format == sops.YAML {
					var err error
					if data, err = yaml.YAMLToJSON(got); err != nil {
						t.Fatal(err)
					}
				}
				want, got = asJSON(t, plain(t, tc.plain)), []byte(asJSON(t, decode(t, data)))
			case sops.Dotenv:
				_, want, _ = strings.Cut(want, "\n") // the comment
			}
			if diff := cmp.Diff(want, string(got)); diff != "" {
				t.Errorf("%s: -want +got:\n%s", tc.reason, diff)
			}
			if sops.Encrypted(got, tc.format) || !sops.Encrypted(read(t, tc.document), tc.format) {
				t.Error("encrypted and opened documents are not told apart")
			}
		})
	}
}

func TestOpenRefuses(t *testing.T) {
	// swap exchanges two lines that start with these keys, values only.
	edit := func(old, new string) func(string) string {
		return func(text string) string {
			if !strings.Contains(text, old) {
				t.Fatalf("the document has no %q", old)
			}
			return strings.Replace(text, old, new, 1)
		}
	}
	dropLine := func(key string) func(string) string {
		return func(text string) string {
			lines := strings.Split(text, "\n")
			for i, line := range lines {
				if strings.HasPrefix(strings.TrimSpace(line), key+":") {
					return strings.Join(append(lines[:i:i], lines[i+1:]...), "\n")
				}
			}
			t.Fatalf("the document has no line %q", key)
			return ""
		}
	}
	swap := func(a, b string) func(string) string {
		return func(text string) string {
			lines := strings.Split(text, "\n")
			at := map[string]int{}
			for i, line := range lines {
				key, _, _ := strings.Cut(strings.TrimSpace(line), ":")
				at[key] = i
			}
			keyA, valueA, _ := strings.Cut(lines[at[a]], ": ")
			keyB, valueB, _ := strings.Cut(lines[at[b]], ": ")
			lines[at[a]], lines[at[b]] = keyA+": "+valueB, keyB+": "+valueA
			return strings.Join(lines, "\n")
		}
	}
	same := func(text string) string { return text }
	cases := map[string]struct {
		reason   string
		document string
		change   func(string) string
		key      string
		want     error
		says     string
	}{
		"WrongAge":       {reason: "the error names for whom it is", document: "regex.yaml", change: same, key: "wrong.agekey", want: sops.ErrNoKey, says: "age age1"},
		"WrongPGP":       {reason: "the error names for whom it is", document: "rsa.yaml", change: same, key: "stranger.asc", want: sops.ErrNoKey, says: "OpenPGP "},
		"OtherKindOfKey": {reason: "an age key opens nothing of OpenPGP", document: "rsa.yaml", change: same, key: "right.agekey", want: sops.ErrNoKey},
		"KeyGroups":      {reason: "Shamir is refused by name", document: "groups.yaml", change: same, key: "right.agekey", want: sops.ErrUnsupported, says: "key_groups"},
		"PlainDocument":  {reason: "nothing to open", document: "plain/secret.yaml", change: same, key: "right.agekey", want: sops.ErrNotEncrypted},
		"ClearChanged":   {reason: "the MAC covers what is in clear", document: "regex.yaml", change: edit("namespace: shop", "namespace: prod"), key: "right.agekey", want: sops.ErrTampered},
		"ValueDropped":   {reason: "the MAC covers every value", document: "regex.yaml", change: dropLine("password"), key: "right.agekey", want: sops.ErrTampered},
		"ValuesSwapped":  {reason: "a value opens at its own place only", document: "regex.yaml", change: swap("password", "url"), key: "right.agekey", want: sops.ErrTampered, says: "stringData."},
		"ValueInClear": {reason: "a value put in clear in place of an encrypted one", document: "regex.yaml", change: func(text string) string {
			return swap("password", "kind")(text)
		}, key: "right.agekey", want: sops.ErrTampered, says: "stringData.password"},
		"RuleChanged":    {reason: "a rule that would leave ciphertext as it is", document: "regex.yaml", change: edit("encrypted_regex: ^(data|stringData)$", "encrypted_regex: ^data$"), key: "right.agekey", want: sops.ErrTampered},
		"DateChanged":    {reason: "the MAC is bound to the date of the last change", document: "regex.yaml", change: edit("lastmodified: \"20", "lastmodified: \"19"), key: "right.agekey", want: sops.ErrTampered},
		"NoMAC":          {reason: "without a MAC nothing is believed", document: "regex.yaml", change: dropLine("mac"), key: "right.agekey", want: sops.ErrTampered},
		"MACOnlyDropped": {reason: "one kind of MAC is not the other", document: "maconly.yaml", change: dropLine("mac_only_encrypted"), key: "right.agekey", want: sops.ErrTampered},
		"SeveralRules":   {reason: "sops refuses that too", document: "regex.yaml", change: edit("encrypted_regex: ", "encrypted_suffix: x\n    encrypted_regex: "), key: "right.agekey", want: sops.ErrUnsupported},
		"SecondDocument": {reason: "what follows would not be opened", document: "regex.yaml", change: func(text string) string { return text + "---\na: 1\n" }, key: "right.agekey", want: sops.ErrUnsupported},
		"KeyStandsTwice": {reason: "which of both counts is not clear", document: "regex.yaml", change: edit("kind: Secret", "kind: Secret\nkind: Secret"), key: "right.agekey", says: "stands twice"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := sops.Open([]byte(tc.change(string(read(t, tc.document)))), sops.YAML, keys(t, tc.key))
			if err == nil || tc.want != nil && !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("%s: got %v, want %v that says %q", tc.reason, err, tc.want, tc.says)
			}
			for _, secret := range []string{"correct horse", "hunter2", "AGE-SECRET"} {
				if err != nil && strings.Contains(err.Error(), secret) {
					t.Errorf("the error holds plaintext: %v", err)
				}
			}
		})
	}
}

func TestReadKeys(t *testing.T) {
	cases := map[string]struct {
		reason string
		data   map[string][]byte
		says   string
		empty  bool
	}{
		"OthersArePassedOver": {reason: "a Secret may hold more", data: map[string][]byte{"notes.txt": []byte("x")}, empty: true},
		"AgeAndPGP":           {reason: "as many as there are", data: map[string][]byte{"a.agekey": read(t, "right.agekey"), "b.asc": read(t, "curve.asc")}},
		"OneIsBroken":         {reason: "the others are used all the same", data: map[string][]byte{"a.agekey": []byte("AGE-SECRET-KEY-1BROKEN"), "b.asc": read(t, "curve.asc")}, says: `key "a.agekey"`},
		"Passphrase":          {reason: "nobody is there to type it", data: map[string][]byte{"b.asc": read(t, "locked.asc")}, says: "passphrase", empty: true},
		"Public":              {reason: "a common mistake", data: map[string][]byte{"b.asc": read(t, "public.asc")}, says: "private one is needed", empty: true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			keys, err := sops.ReadKeys(tc.data)
			if (err != nil) != (tc.says != "") || err != nil && (!strings.Contains(err.Error(), tc.says) || strings.Contains(err.Error(), "1BROKEN")) {
				t.Errorf("%s: error is %v", tc.reason, err)
			}
			if keys.Empty() != tc.empty {
				t.Errorf("%s: empty is %v", tc.reason, keys.Empty())
			}
		})
	}
}
