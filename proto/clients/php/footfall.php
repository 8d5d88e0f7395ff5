<?php
/* footfall.php -- reports events to a Footfall agent. One file; PHP 7.4 or later, on 64 bits; signing
 * needs the sodium extension, which is part of PHP.
 *
 *     require 'footfall.php';
 *     $views = new Footfall\Client('127.0.0.1:8125');
 *     $views->event(['type' => 'video', 'id' => $uuid, 'eid' => $eventId,
 *                    'ip' => $_SERVER['REMOTE_ADDR'], 'ua' => $_SERVER['HTTP_USER_AGENT'] ?? null]);
 *
 * Nothing here blocks or throws: an event that cannot be handed to the kernel at once is counted in
 * $views->failed, and $views->error says why the last one was.
 */
declare(strict_types=1);

namespace Footfall;

const DATAGRAM_MAX = 8192;
const REMOTE_MAX = 1400; // fits an Ethernet frame: a lost fragment would lose the whole datagram
const EVENTS_MAX = 64;
const FIELDS = ['type', 'id', 'eid', 'ev', 'val', 'site', 'ts', 'ip', 'ua', 'ref', 'sess'];

/** A new event id, as text: for data-event-id in a page and eid here. */
function event_id(): string
{
    $b = random_bytes(16);
    $b[6] = chr(ord($b[6]) & 0x0f | 0x40);
    $b[8] = chr(ord($b[8]) & 0x3f | 0x80);
    return vsprintf('%s%s-%s-%s-%s-%s%s%s', str_split(bin2hex($b), 4));
}

// -- msgpack --

function pack_text(string $text): string
{
    $n = strlen($text);
    if ($n < 32) {
        return chr(0xa0 | $n) . $text;
    }
    return ($n < 256 ? "\xd9" . chr($n) : "\xda" . pack('n', $n)) . $text;
}

/** UUIDs as 16 bytes; as ids only those of RFC 9562, which no slug can look like. */
function pack_uuid(string $text, bool $every): string
{
    $hex = '[0-9a-f]{4}';
    if (strlen($text) === 16 && preg_match('/[^\x20-\x7e]/', $text)) {
        return "\xc4\x10" . $text;
    }
    if (!preg_match("/^$hex$hex-$hex-$hex-$hex-$hex$hex$hex\$/Di", $text)) {
        return pack_text($text);
    }
    $bytes = (string) hex2bin(str_replace('-', '', $text));
    return $every || (ord($bytes[8]) & 0xc0) === 0x80 ? "\xc4\x10" . $bytes : pack_text($text);
}

/** @param mixed $value */
function text_of($value): string
{
    if (!is_scalar($value) && !(is_object($value) && method_exists($value, '__toString'))) {
        throw new \InvalidArgumentException('a value is no text');
    }
    return (string) $value;
}

/** @param mixed $value */
function pack_field(string $key, $value): string
{
    switch ($key) {
        case 'id':
            return pack_uuid(text_of($value), false);
        case 'eid':
            return pack_uuid(text_of($value), true);
        case 'val':
            if (!is_numeric($value)) {
                throw new \InvalidArgumentException('val is no number');
            }
            return "\xcb" . pack('E', (float) $value);
        case 'ts':
            if (!is_numeric($value)) {
                throw new \InvalidArgumentException('ts is no number');
            }
            return "\xcf" . pack('J', (int) $value);
        default:
            return pack_text(text_of($value));
    }
}

/** An event's keys as a msgpack map; those that are null or unknown are left out. */
function encode(array $event): string
{
    if (!isset($event['type'], $event['id'])) {
        throw new \InvalidArgumentException('no type or id');
    }
    $n = 0;
    $packed = '';
    foreach (FIELDS as $key) {
        if (isset($event[$key])) {
            $n++;
            $packed .= pack_text($key) . pack_field($key, $event[$key]);
        }
    }
    return chr(0x80 | $n) . $packed;
}

/** The datagram of these maps: a single one goes as it is. */
function pack_array(array $maps): string
{
    $n = count($maps);
    $head = $n === 1 ? '' : ($n < 16 ? chr(0x90 | $n) : "\xdc" . pack('n', $n));
    return $head . implode('', $maps);
}

/** The envelope of proto/README.md around a datagram; $boot are its 8 bytes. */
function seal(string $name, string $key, string $boot, int $seq, int $timeMs, string $payload): string
{
    $body = "FFSD\x01" . $boot . pack('PPC', $seq, $timeMs, strlen($name)) . $name . $payload;
    return $body . sodium_crypto_generichash($body, $key, 16);
}

/** [name, key] of a line "NAME KEY", or of the first such line of the file that is named. */
function read_key(string $key): array
{
    $line = '/^[ \t]*([A-Za-z0-9_.-]{1,64})[ \t]+([0-9A-Fa-f]{64})[ \t\r]*$/m';
    if (!preg_match($line, $key, $found) && !preg_match($line, (string) @file_get_contents($key), $found)) {
        throw new \InvalidArgumentException('the key cannot be read');
    }
    return [$found[1], (string) hex2bin($found[2])];
}

/** Sends to the agent at $address, 'host:port' or '[address]:port'; a host's name is looked up at
 * once. $key: a file with a line "NAME KEY", or such a line itself; without one, datagrams are not
 * signed, and the agent takes them from loopback only. */
final class Client
{
    public int $sent = 0; // events handed to the kernel
    public int $failed = 0; // events that were not, or that nobody received on this host
    public ?string $error = null; // why the last one failed

    /** @var resource|null */
    private $socket = null;
    private ?array $key = null;
    private ?int $pid = null;
    private string $boot = '';
    private int $seq = 0;
    private int $last = 0;
    private int $max = REMOTE_MAX;

    public function __construct(string $address = '127.0.0.1:8125', ?string $key = null)
    {
        try {
            if ($key !== null && !function_exists('sodium_crypto_generichash')) {
                throw new \RuntimeException('signing needs the sodium extension');
            }
            $this->key = $key === null ? null : read_key($key);
            $this->connect($address);
        } catch (\Throwable $why) {
            $this->error = $why->getMessage();
        }
    }

    /** Sends one event, with the keys of a datagram (proto/README.md). Whether it was sent. */
    public function event(array $event): bool
    {
        return $this->batch([$event]) === 0;
    }

    /** Sends events in as few datagrams as hold them. How many were not sent. */
    public function batch(iterable $events): int
    {
        $before = $this->failed;
        $maps = [];
        $size = 3;
        foreach ($events as $event) {
            $packed = $this->encoded($event);
            if ($packed === null) {
                continue;
            }
            if ($maps && (count($maps) === EVENTS_MAX || $size + strlen($packed) > $this->room())) {
                $this->send($maps);
                $maps = [];
                $size = 3;
            }
            $maps[] = $packed;
            $size += strlen($packed);
        }
        if ($maps) {
            $this->send($maps);
        }
        return $this->failed - $before;
    }

    public function close(): void
    {
        if ($this->socket) {
            fclose($this->socket);
        }
        $this->socket = null;
        $this->error = 'closed';
    }

    private function connect(string $address): void
    {
        $socket = @stream_socket_client("udp://$address", $code, $why, 0);
        if (!$socket) {
            throw new \RuntimeException($why ?: 'the address cannot be used');
        }
        stream_set_blocking($socket, false);
        stream_set_write_buffer($socket, 0);
        $peer = (string) stream_socket_get_name($socket, true);
        $this->max = preg_match('/^(127\.|\[::1\])/', $peer) ? DATAGRAM_MAX : REMOTE_MAX;
        $this->socket = $socket;
    }

    private function fail(int $events, ?string $why): void
    {
        $this->failed += $events;
        $this->error = $why;
    }

    private function room(): int
    {
        return $this->max - ($this->key ? 30 + strlen($this->key[0]) + 16 : 0);
    }

    /** @param mixed $event */
    private function encoded($event): ?string
    {
        try {
            $packed = encode($event);
        } catch (\Throwable $why) {
            $this->fail(1, $why->getMessage());
            return null;
        }
        if (strlen($packed) > $this->room()) {
            $this->fail(1, 'larger than a datagram may be');
            return null;
        }
        return $packed;
    }

    /** A child of fork would use its parent's sequence numbers again. */
    private function beASender(): void
    {
        if ($this->pid !== getmypid()) {
            $this->pid = (int) getmypid();
            $this->boot = random_bytes(8);
            $this->seq = 0;
            $this->last = 0;
        }
    }

    private function send(array $maps): void
    {
        $n = count($maps);
        if (!$this->socket) {
            $this->fail($n, $this->error);
            return;
        }
        $this->beASender();
        $payload = pack_array($maps);
        if ($this->key) {
            $now = (int) (microtime(true) * 1000);
            $payload = seal($this->key[0], $this->key[1], $this->boot, ++$this->seq, $now, $payload);
        }
        if (!$this->transmit($payload)) {
            $this->fail($n, error_get_last()['message'] ?? 'not sent');
            return;
        }
        $this->sent += $n;
        $this->last = $n;
    }

    private function transmit(string $datagram): bool
    {
        error_clear_last();
        if (@fwrite($this->socket, $datagram) === strlen($datagram)) {
            return true;
        }
        if (strpos(error_get_last()['message'] ?? '', 'refused') === false) {
            return false;
        }
        // that is about an earlier datagram: nobody received it; this one was not sent yet
        $this->sent -= $this->last;
        $this->fail($this->last, 'nobody listens there');
        $this->last = 0;
        return @fwrite($this->socket, $datagram) === strlen($datagram);
    }
}
