package sops

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// dataKeySize is that of AES-256.
const dataKeySize = 32

// sealed is how an encrypted value is written.
var sealed = regexp.MustCompile(`^ENC\[AES256_GCM,data:(.+),iv:(.+),tag:(.+),type:(.+)\]$`)

// valueCipher opens values with the data key of one document.
type valueCipher struct {
	block cipher.Block
}

func newCipher(key []byte) (*valueCipher, error) {
	if len(key) != dataKeySize {
		return nil, fmt.Errorf("%w: its data key has %d bytes, not %d", ErrTampered, len(key), dataKeySize)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("cannot use the data key: %w", err)
	}
	return &valueCipher{block: block}, nil
}

// open decrypts one value that was encrypted for a place in the document. An empty string stands for itself.
func (c *valueCipher) open(text, place string) (any, error) {
	if text == "" {
		return "", nil
	}
	parts := sealed.FindStringSubmatch(text)
	if parts == nil {
		return nil, fmt.Errorf("%w: the value is not encrypted", ErrTampered)
	}
	var raw [3][]byte
	for i := range raw {
		var err error
		if raw[i], err = base64.StdEncoding.DecodeString(parts[i+1]); err != nil {
			return nil, fmt.Errorf("%w: the value is not whole", ErrTampered)
		}
	}
	data, iv, tag := raw[0], raw[1], raw[2]
	gcm, err := cipher.NewGCMWithNonceSize(c.block, len(iv))
	if err != nil {
		return nil, fmt.Errorf("%w: the value is not whole", ErrTampered)
	}
	plain, err := gcm.Open(nil, iv, append(data, tag...), []byte(place))
	if err != nil {
		return nil, fmt.Errorf("%w: the value does not open with the document's data key at this place", ErrTampered)
	}
	return decode(string(plain), parts[4])
}

// decode reads a value of one of the types that sops knows. Errors name the type and never the value.
func decode(plain, kind string) (any, error) {
	var value any
	var err error
	switch kind {
	case "str":
		return plain, nil
	case "bytes":
		return []byte(plain), nil
	case "comment":
		return comment(plain), nil
	case "int":
		value, err = strconv.Atoi(plain)
	case "float":
		value, err = strconv.ParseFloat(plain, 64)
	case "bool":
		value, err = strconv.ParseBool(plain)
	case "time":
		var at time.Time
		err = at.UnmarshalText([]byte(plain))
		value = moment{at: at, text: plain}
	default:
		return nil, fmt.Errorf("a value of type %.20q %w", kind, ErrUnsupported)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: a value is no %s", ErrTampered, kind)
	}
	return value, nil
}

// authenticated is a value as it goes into the MAC.
func authenticated(value any) ([]byte, error) {
	switch value := value.(type) {
	case string:
		return []byte(value), nil
	case []byte:
		return value, nil
	case int:
		return []byte(strconv.Itoa(value)), nil
	case float64:
		return []byte(strconv.FormatFloat(value, 'f', -1, 64)), nil
	case bool:
		// As the first, Python, version of sops wrote it.
		if value {
			return []byte("True"), nil
		}
		return []byte("False"), nil
	case moment:
		return value.at.MarshalText()
	default:
		return nil, fmt.Errorf("a value of type %T %w", value, ErrUnsupported)
	}
}
