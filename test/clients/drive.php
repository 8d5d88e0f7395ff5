<?php
/* drive.php -- proto/clients/php for the tests; see drive.py. */
require __DIR__ . '/../../proto/clients/php/footfall.php';

function event_of(array $meaning): array
{
    $keys = ['event_id' => 'eid', 'name' => 'ev', 'value' => 'val', 'ts_ms' => 'ts', 'session' => 'sess',
        'uuid' => 'id', 'slug' => 'id'];
    $event = [];
    foreach ($meaning as $key => $value) {
        $event[$keys[$key] ?? $key] = $value;
    }
    if (isset($meaning['referrer'])) {
        $event['ref'] = 'http://' . $meaning['referrer'];
    }
    return $event;
}

function golden(string $folder): void
{
    $n = 0;
    foreach (glob("$folder/*.json") as $path) {
        $vector = json_decode(file_get_contents($path), true);
        $raw = hex2bin(preg_replace('/\s/', '', file_get_contents(substr($path, 0, -4) . 'hex')));
        if ($vector['format'] === 'datagram') {
            $made = Footfall\encode(event_of($vector['event']));
        } elseif ($vector['format'] === 'envelope') {
            $made = Footfall\seal($vector['key_name'], hex2bin($vector['key']), strrev(hex2bin($vector['boot'])),
                $vector['seq'], $vector['time_ms'], hex2bin($vector['payload']));
        } else {
            continue;
        }
        if ($made !== $raw) {
            throw new Exception($path);
        }
        $n++;
    }
    echo "ok $n\n";
}

function send(string $address, string $key, string $eventId): void
{
    $views = new Footfall\Client($address, $key === '-' ? null : $key);
    $views->event(['type' => 'video', 'id' => Footfall\event_id(), 'eid' => $eventId, 'ev' => 'play', 'val' => 2.5,
        'site' => 'shop', 'ip' => '192.0.2.1',
        'ua' => 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0',
        'ref' => 'https://a.example/b?c', 'sess' => 's-é']);
    $views->batch(array_map(fn() => ['type' => 'pdf', 'id' => Footfall\event_id()], range(1, 100)));
    $views->event(['id' => 'no type']);
    echo "sent $views->sent failed $views->failed\n";
    if (!function_exists('pcntl_fork')) { // rarely built without
        $views = new Footfall\Client($address, $key === '-' ? null : $key);
        $views->event(['type' => 'static', 'id' => Footfall\event_id()]);
        return;
    }
    if (pcntl_fork() === 0) {
        $views->event(['type' => 'static', 'id' => Footfall\event_id()]);
        exit(0);
    }
    pcntl_wait($status);
}

function twin(string $address, string $eventId, string $content): void
{
    (new Footfall\Client($address))->event(['type' => 'video', 'id' => $content, 'eid' => $eventId]);
}

$argv[1](...array_slice($argv, 2));
