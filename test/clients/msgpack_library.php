<?php
/* msgpack_library.php -- php-msgpack; see msgpack_library.py. */
function event(): array
{
    $now = microtime(true) * 1000;
    return ['type' => 'video', 'id' => random_bytes(16), 'eid' => random_bytes(16), 'ts' => floor($now), 'val' => 3,
        'ip' => '192.0.2.1', 'ua' => 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0',
        'ref' => null, 'unknown' => ['a' => [1, -2, true]]];
}

function show(string $name, $value): void
{
    echo $name, ' ', bin2hex(msgpack_pack($value)), "\n";
}

show('map', event());
show('array', [event(), event()]);
show('integer-time', ['ts' => (int) (microtime(true) * 1000)] + event());
show('id-as-text', ['id' => vsprintf('%s%s-%s-%s-%s-%s%s%s', str_split(bin2hex(random_bytes(16)), 4))] + event());
