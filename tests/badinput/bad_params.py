"""Bad files params.yaml: the content, and what the line about it must say."""
# ruff: noqa: E501 (a case is a line)

HASH = "0" * 64
TABLE = "exhibits: [own]\ntables: [{id: t, pairs: [vgg13:vgg8], methods: [kd]"

# One a line: content => part ; part
LINES = r"""
scale: => scale ; None
scale: [smoke] => scale ; ['smoke'] ; 'smoke', 'lite' or 'paper'
scale: {} => scale ; {} ; 'smoke', 'lite' or 'paper'
scale: Smoke => scale ; 'Smoke' ; mean 'smoke'?
scale: 1e3 => scale ; '1e3' ; known: lite, paper, smoke
scale: true => scale ; 'true' ; known: lite
scale: "smoke " => scale ; 'smoke ' ; mean 'smoke'?
SCALE: smoke => 'SCALE' ; known:
datasets: => datasets ; None ; a list
datasets: cifar10 => datasets ; 'cifar10' ; a list, in square brackets
datasets: {cifar10: 1} => datasets ; {'cifar10': 1} ; a list
datasets: {cifar10: {a: 1}} => datasets ; a list
datasets: [[cifar10]] => datasets.0 ; ['cifar10'] ; a text
datasets: [null] => datasets.0 ; None ; a text
datasets: [10] => datasets ; '10' ; dataset
datasets: [cifar-10] => datasets ; 'cifar-10' ; mean 'cifar10'?
datasets: [CIFAR10] => datasets ; 'CIFAR10' ; known: camvid, cifar10
datasets: [""] => datasets ; '' ; known:
datasets: ["../cifar10"] => datasets ; '../cifar10' ; mean 'cifar10'?
datasets: [tinyimagenet] => datasets ; ['tinyimagenet'] ; those of the exhibits
exhibits: => exhibits ; None ; a list
exhibits: {} => exhibits ; {} ; a list
exhibits: [null] => exhibits.0 ; None ; a text
exhibits: [distpro/] => exhibits ; 'distpro/' ; mean 'distpro'?
exhibits: [All] => exhibits ; 'All' ; mean 'all'?
exhibits: [own] => exhibits ; 'own'
exhibits: [own/t] => exhibits ; 'own/t'
exhibits: [distpro, distpro/table99] => exhibits ; 'distpro/table99' ; mean
exhibits: [1] => exhibits ; '1' ; known:
pairs: => pairs ; None ; a list
pairs: wrn-40-2:wrn-16-2 => pairs ; 'wrn-40-2:wrn-16-2' ; a list
pairs: {wrn-40-2: wrn-16-2} => pairs ; a list
pairs: [wrn-40-2: wrn-16-2] => pairs.0 ; {'wrn-40-2': 'wrn-16-2'} ; a text
pairs: [wrn-40-2] => pairs ; 'wrn-40-2' ; mean 'wrn-40-2:
pairs: ["wrn-40-2:"] => pairs ; 'wrn-40-2:'
pairs: [":wrn-16-2"] => pairs ; ':wrn-16-2'
pairs: [1:30] => pairs ; '1:30'
pairs: [3] => pairs ; '3'
methods_only: => methods_only ; None ; a list
methods_only: kd => methods_only ; 'kd' ; a list
methods_only: [KD] => methods_only ; 'KD' ; known:
methods_only: [kd+] => methods_only ; '' ; method
methods_only: [kd, kd+attt] => methods_only ; 'attt' ; mean 'at'?
methods_only: [true] => methods_only ; 'true' ; method
methods_only: [[kd]] => methods_only.0 ; ['kd'] ; a text
seeds: [1] => seeds ; [1] ; a whole number
seeds: {} => seeds ; {} ; a whole number
seeds: -1 => seeds ; -1 ; at least 1
seeds: 1.5 => seeds ; 1.5 ; a whole number
seeds: 1e2 => seeds ; 100.0 ; a whole number
seeds: 010 => seeds ; '010' ; a whole number
seeds: 0x => seeds ; '0x' ; a whole number
seeds: 0b_ => seeds ; '0b_' ; a whole number
seeds: 1:30 => seeds ; '1:30' ; a whole number
seeds: "2" => seeds ; '2' ; a whole number
seeds: .inf => seeds ; inf ; a whole number
seeds: .nan => seeds ; nan ; a whole number
seeds: 2024-05-01 => seeds ; '2024-05-01' ; a whole number
seeds: 99999999999999999999999999 => seeds ; '99999999999999999999999999' ; a whole number
seeds: 1000000 => seeds ; 1000000 ; at most 100
methods: => methods ; None ; a mapping
methods: [] => methods ; [] ; a mapping
methods: kd => methods ; 'kd' ; a mapping
methods: {kd: } => methods.kd ; None ; a mapping
methods: {kd: []} => methods.kd ; [] ; a mapping
methods: {1: {}} => methods ; '1' ; method
methods: {null: {}} => methods ; 'null' ; method
methods: {[a]: {}} => params.yaml ; a list or mapping as a key ; keys that are words
methods: {{a: b}: {}} => params.yaml ; a list or mapping as a key
methods: {kd+at: {}} => methods ; 'kd+at' ; method
methods: {kd: {1: 2}} => methods.kd ; '1' ; known: task_weight
methods: {kd: {temperature: 0}} => methods.kd.temperature ; 0 ; a number from
methods: {kd: {temperature: -4}} => methods.kd.temperature ; -4 ; a number from
methods: {kd: {temperature: 1e400}} => methods.kd.temperature ; inf ; a value like 4.0
methods: {kd: {temperature: -.inf}} => methods.kd.temperature ; -inf ; a value like 4.0
methods: {kd: {temperature: "4"}} => methods.kd.temperature ; '4' ; a value like 4.0
methods: {kd: {temperature: 2024-05-01}} => methods.kd.temperature ; '2024-05-01'
methods: {kd: {temperature: {}}} => methods.kd.temperature ; {} ; a value like 4.0
methods: {kd: {temperature: [[4.0]]}} => methods.kd.temperature ; [[4.0]] ; a value like 4.0
methods: {kd: {temperature: !!binary aGk=}} => params.yaml ; the tag !!binary ; without tags
methods: {kd: {temperature: !!python/name:os.system '' }} => params.yaml ; the tag !!python/name
methods: {kd: {temperature: !mine 4}} => params.yaml ; the tag !mine
methods: {kd: !!set {temperature}} => params.yaml ; the tag !!set
methods: {kd: !!omap [temperature: 4]} => params.yaml ; the tag !!omap
methods: {kd: {module: os}} => methods.kd ; 'module' ; known:
methods: {kd: {class: X}} => methods.kd ; 'class' ; known:
methods: {kd: {revision: 2}} => methods.kd ; 'revision' ; known:
methods: {equal: {transforms: [[complex]]}} => methods.equal.transforms ; ['complex']
methods: {equal: {transforms: {complex: 1}}} => methods.equal.transforms ; a value like
methods: {distpro: {drop: no thanks}} => methods.distpro.drop ; 'no thanks' ; like
methods: {distpro: {factor: relased}} => methods.distpro.factor ; 'relased' ; mean 'release'?
searches: => searches ; None ; a mapping
searches: [distpro] => searches ; ['distpro'] ; a mapping
searches: {kd: {}} => searches ; search ; 'kd'
searches: {distpro: 1} => searches.distpro ; 1 ; a mapping
searches: {distpro: {held_out: 1.5}} => searches.distpro.held_out ; 1.5 ; a number from
searches: {distpro: {held_out: -0.1}} => searches.distpro.held_out ; -0.1 ; a number from
searches: {distpro: {alpha_lr: .nan}} => searches.distpro.alpha_lr ; nan
searches: {distpro: {gradient: exactly}} => searches.distpro.gradient ; mean 'exact'?
searches: {distpro: {gradient: 1}} => searches.distpro.gradient ; 1 ; a value like
scales: => scales ; None ; a mapping
scales: smoke => scales ; 'smoke' ; a mapping
scales: {smoke: } => scales.smoke ; None ; a mapping
scales: {smoke: [1]} => scales.smoke ; [1] ; a mapping
scales: {Smoke: {}} => scales ; 'Smoke' ; mean 'smoke'?
scales: {smoke: {name: x}} => scales.smoke ; 'name' ; setting
scales: {smoke: {lr_factor: .inf}} => scales.smoke.lr_factor ; inf ; at most 1000
scales: {smoke: {lr_factor: .nan}} => scales.smoke.lr_factor ; nan
scales: {smoke: {lr_factor: -1.0}} => scales.smoke.lr_factor ; -1.0 ; at least 1e-06
scales: {smoke: {lr_factor: 0.0}} => scales.smoke.lr_factor ; 0.0 ; at least
scales: {smoke: {lr_factor: 1e9}} => scales.smoke.lr_factor ; 1000000000.0 ; at most 1000
scales: {smoke: {lr_factor: fast}} => scales.smoke.lr_factor ; 'fast' ; a number
scales: {smoke: {lr_factor: true}} => scales.smoke.lr_factor ; True ; a number
scales: {smoke: {lr_factor: }} => scales.smoke.lr_factor ; None ; a number
scales: {smoke: {batch: 1.5}} => scales.smoke.batch ; 1.5 ; a whole number
scales: {smoke: {batch: -1}} => scales.smoke.batch ; -1 ; at least 1
scales: {smoke: {batch: 10_000_000}} => scales.smoke.batch ; 10000000 ; at most 1000000
scales: {smoke: {batch: true}} => scales.smoke.batch ; True ; a whole number
scales: {smoke: {student_epochs: 0}} => scales.smoke.student_epochs ; 0 ; at least 1
scales: {smoke: {student_epochs: 1000000}} => scales.smoke.student_epochs ; at most 100000
scales: {smoke: {teacher_epochs: "9"}} => scales.smoke.teacher_epochs ; '9' ; a whole number
scales: {smoke: {search_epochs: [4]}} => scales.smoke.search_epochs ; [4] ; a whole number
scales: {smoke: {steps_per_epoch: .inf}} => scales.smoke.steps_per_epoch ; inf ; a whole number
scales: {smoke: {evaluate_every: 0}} => scales.smoke.evaluate_every ; 0 ; at least 1
scales: {smoke: {seeds: 101}} => scales.smoke.seeds ; 101 ; at most 100
scales: {smoke: {lead_seeds: -3}} => scales.smoke.lead_seeds ; -3 ; at least 1
scales: {smoke: {threads: 5000}} => scales.smoke.threads ; 5000 ; at most 1024
scales: {smoke: {threads: 1.0}} => scales.smoke.threads ; 1.0 ; a whole number
scales: {smoke: {cells_per_job: 0}} => scales.smoke.cells_per_job ; 0 ; at least 1
scales: {lite: {train_share: 0}} => scales.lite.train_share ; 0 ; above 0
scales: {lite: {train_share: -0.5}} => scales.lite.train_share ; -0.5 ; above 0
scales: {lite: {train_share: .nan}} => scales.lite.train_share ; nan
scales: {lite: {train_share: 50%}} => scales.lite.train_share ; '50%' ; a number
scales: {lite: {stand_in: 1}} => scales.lite.stand_in ; 1 ; true or false
scales: {lite: {stand_in: "yes"}} => scales.lite.stand_in ; 'yes' ; true or false
scales: {lite: {channels_last: }} => scales.lite.channels_last ; None ; true or false
scales: {lite: {precision: 16}} => scales.lite.precision ; 16 ; 'float32', 'tf32', 'bf16' or 'fp16'
scales: {lite: {precision: fp8}} => scales.lite.precision ; 'fp8' ; bf16
scales: {lite: {teacher_epoch: best}} => scales.lite.teacher_epoch ; 'best' ; last, reported
ranks: => ranks ; None ; a mapping
ranks: 4 => ranks ; 4 ; a mapping
ranks: {imagenet/resnet50: 8} => ranks.imagenet/resnet50 ; 8 ; a mapping
ranks: {imagenet/resnet50: {teacher: 0}} => ranks.imagenet/resnet50.teacher ; 0 ; 1
ranks: {imagenet/resnet50: {teacher: two}} => ranks.imagenet/resnet50.teacher ; 'two' ; whole number
ranks: {imagenet/resnet50: {students: 2}} => ranks.imagenet/resnet50 ; 'students' ; 'student'
ranks: {imagenet/resnet50: {search: 2}} => ranks.imagenet/resnet50 ; 'search' ; teacher or student ; imagenet/TEACHER:resnet50
ranks: {"imagenet/resnet50:mobilenet-v1": {teacher: 2}} => ranks.imagenet/resnet50:mobilenet-v1 ; search or student ; imagenet/resnet50
ranks: {"imagenet/resnet50:mobilenet": {student: 2}} => ranks ; 'mobilenet' ; mean 'mobilenet
ranks: {resnet50: {student: 2}} => ranks ; 'resnet50' ; dataset
ranks: {imagenet/resnet51: {student: 2}} => ranks ; 'resnet51' ; mean 'resnet
ranks: {imagenet: {student: 2}} => ranks ; '' ; network
teachers: => teachers ; None ; a mapping
teachers: [HASH] => teachers ; a mapping
teachers: {cifar100/vgg8: 12345} => teachers.cifar100/vgg8 ; '12345' ; 64 hex digits
teachers: {cifar100/vgg8: HASHa} => teachers.cifar100/vgg8 ; 64 hex digits
teachers: {cifar100/vgg8: null} => teachers.cifar100/vgg8 ; None ; a text
teachers: {cifar100/vgg8: ../../x} => teachers.cifar100/vgg8 ; '../../x' ; 64 hex digits
teachers: {cifar100: HASH} => teachers ; '' ; network
teachers: {vgg8: HASH} => teachers ; 'vgg8' ; dataset
teachers: {cifar100/vgg9: HASH} => teachers ; 'vgg9' ; mean 'vgg
teachers: {cifar1000/vgg8: HASH} => teachers ; 'cifar1000' ; mean 'cifar100'?
tables: => tables ; None ; a list
tables: {} => tables ; {} ; a list
tables: [a] => tables.0 ; 'a' ; a mapping
tables: [{}] => tables.0 ; no key 'id' ; the table's name
tables: [{id: a}] => tables.0 ; no key 'pairs' ; columns
tables: [{id: a, pairs: [vgg13:vgg8]}] => tables.0 ; no key 'methods' ; rows
tables: [{id: "", pairs: [vgg13:vgg8], methods: [kd]}] => tables.0.id ; '' ; a table's id
tables: [{id: a/b, pairs: [vgg13:vgg8], methods: [kd]}] => tables.0.id ; 'a/b' ; a table's id
tables: [{id: .., pairs: [vgg13:vgg8], methods: [kd]}] => tables.0.id ; '..' ; a table's id
tables: [{id: "a\n", pairs: [vgg13:vgg8], methods: [kd]}] => tables.0.id ; 'a\n' ; a table's id
tables: [{id: a;ls, pairs: [vgg13:vgg8], methods: [kd]}] => tables.0.id ; 'a;ls' ; a table's id
tables: [{id: LONG, pairs: [vgg13:vgg8], methods: [kd]}] => tables.0.id ; (302 characters) ; at most 60
tables: [{id: null, pairs: [vgg13:vgg8], methods: [kd]}] => tables.0.id ; None ; a text
tables: [{pair: [x], id: a, methods: [kd]}] => tables.0 ; 'pair' ; mean 'pairs'?
tables: [{id: a, pairs: [vgg13:vgg8], method: [kd]}] => tables.0 ; 'method' ; mean 'methods'?
tables: [{id: a, id: b}] => params.yaml ; the key 'id' again in line 1 ; each key once
TABLE, title: "a\nb"}] => tables.0.title ; a text in one line
TABLE, title: "\e[31m"}] => tables.0.title ; a text in one line
TABLE, title: [a]}] => tables.0.title ; ['a'] ; a text
TABLE, title: LONG}] => tables.0.title ; at most 200 characters
TABLE, title: null}] => tables.0.title ; None ; a text
TABLE, dataset: cifar}] => tables, t ; 'cifar' ; mean 'cifar1
TABLE, dataset: [cifar10]}] => tables.0.dataset ; ['cifar10'] ; a text
TABLE, protocol: 3}] => tables, t ; '3' ; protocol
TABLE, seeds: 0}] => tables.0.seeds ; 0 ; at least 1
TABLE, seeds: 1000}] => tables.0.seeds ; 1000 ; at most 100
TABLE, seeds: many}] => tables.0.seeds ; 'many' ; a whole number
TABLE, held_out: 1}] => tables.0.held_out ; 1 ; at most 0.9
TABLE, held_out: -0.1}] => tables.0.held_out ; -0.1 ; at least 0
TABLE, held_out: .nan}] => tables.0.held_out ; nan
TABLE, held_out: half}] => tables.0.held_out ; 'half' ; a number
TABLE, tuning_holdout: 0.1}] => tables.0 ; 'tuning_holdout'
TABLE, pruned_by: sbs}] => tables, t ; 'sbs' ; mean
TABLE, pruned_from: vgg8}] => tables, t, pruned_from ; 'vgg8' ; pruned_by as well
TABLE, pruned_by: 7}] => tables, t ; '7' ; search
TABLE, searched_on: cifar10}] => tables.0.searched_on ; 'cifar10' ; a mapping
TABLE, searched_on: {datset: cifar10}}] => tables.0.searched_on ; mean 'dataset'?
TABLE, searched_on: {dataset: cifar}}] => tables, t ; 'cifar' ; dataset
TABLE, searched_on: {pair: vgg13}}] => tables, t ; 'vgg13' ; teacher:student
TABLE, searched_on: {protocol: reviw}}] => tables, t, searched_on ; mean 'review'?
TABLE, grid: [1]}] => tables.0.grid ; [1] ; a mapping
TABLE, grid: {temperature: 4}}] => tables.0.grid.temperature ; 4 ; a list
TABLE, grid: {temperature: []}}] => tables.0.grid.temperature ; at least one entry
TABLE, grid: {temperature: [null]}}] => tables, t, grid.temperature ; None ; numbers, texts
TABLE, grid: {temperature: [{a: 1}]}}] => tables, t, grid.temperature ; {'a': 1} ; numbers, texts
TABLE, grid: {temperature: [[[1]]]}}] => tables, t, grid.temperature ; [[1]] ; numbers, texts
TABLE, grid: {temperature: [.inf]}}] => temperature ; inf ; a value like 4.0
TABLE, grid: {temperature: [hot]}}] => temperature ; 'hot' ; a value like 4.0
TABLE, grid: {temprature: [4.0]}}] => 'temprature' ; mean 'temperature'?
TABLE, grid: {search.alpha_lr: [0.1]}}] => tables, t, grid ; 'search.alpha_lr' ; searches nothing
TABLE, grid: {temperature: THOUSAND}}] => tables, t ; 1001 cells ; at most 1000
TABLE, labels: [a]}] => tables.0.labels ; ['a'] ; a mapping
TABLE, labels: {at: AT}}] => tables, t, labels ; 'at' ; row or column
TABLE, labels: {kd: ""}}] => tables.0.labels.kd ; '' ; a text that is not empty
TABLE, labels: {kd: "a\tb"}}] => tables.0.labels.kd ; a text in one line
TABLE, comparisons: [[kd]]}] => tables.0.comparisons.0 ; ['kd'] ; at least 2
TABLE, comparisons: [[kd, at]]}] => tables, t, comparisons ; 'at' ; row
TABLE, comparisons: [[kd, kd]]}] => tables, t, comparisons ; two rows
TABLE, sizes: 1}] => tables.0.sizes ; 1 ; true or false
tables: [{id: a, pairs: [vgg13:vgg8, vgg13:vgg8], methods: [kd]}] => tables, a, pairs ; 'vgg13:vgg8' ; each entry once
tables: [{id: a, pairs: [vgg13:vgg8], methods: [kd, kd]}] => tables, a, methods ; 'kd' ; each entry once
tables: [{id: a, pairs: [vgg13:vgg8], methods: [kd+kd]}] => tables, a, methods ; 'kd+kd' ; each method once
tables: [{id: a, pairs: [vgg13-vgg8], methods: [kd]}] => tables, a ; 'vgg13-vgg8' ; teacher:student
tables: [{id: a, pairs: ["vgg13:vgg8;ls"], methods: [kd]}] => tables, a ; 'vgg8;ls' ; network
tables: [{id: a, pairs: [vgg13:vgg99], methods: [kd]}] => tables, a ; 'vgg99' ; mean 'vgg
tables: [{id: a, pairs: [vgg13: vgg8], methods: [kd]}] => tables.0.pairs.0 ; {'vgg13': 'vgg8'} ; a text
tables: [{id: a, pairs: [vgg13:vgg8], methods: kd}] => tables.0.methods ; 'kd' ; a list
tables: [{id: a, pairs: [vgg13:vgg8], methods: [3]}] => tables, a ; '3' ; method
plugins: => plugins ; None ; a list
plugins: own => plugins ; 'own' ; a list
plugins: [params.yaml] => plugins ; 'params.yaml' ; a folder with declarations
plugins: ["~/nowhere"] => plugins ; '~/nowhere' ; a folder with declarations
plugins: [LONG] => plugins ; a folder with declarations
plugins: ["a\0b"] => plugins ; a folder with declarations
plugins: [5] => plugins ; '5' ; a folder with declarations
scale: smoke\nscale: lite => params.yaml ; the key 'scale' again in line 2 ; each key once
"seeds": 1\nseeds: 2 => params.yaml ; the key 'seeds' again in line 2
methods: {kd: {temperature: 1.0, temperature: 2.0}} => the key 'temperature' again ; each key once
a: &a [*a] => params.yaml ; an alias inside what it stands for
plugins: [*x] => params.yaml ; undefined alias ; valid YAML
plugins: &x => plugins ; None ; a list
plugins: [@home] => params.yaml ; valid YAML
plugins: [`a`] => params.yaml ; valid YAML
plugins: [%a] => params.yaml ; valid YAML
plugins: ["\q"] => params.yaml ; unknown escape character ; valid YAML
\tscale: smoke => params.yaml ; valid YAML
scale: smoke\n\tseeds: 1 => params.yaml ; line 2 ; valid YAML
scale: smoke\n seeds: 1 => params.yaml ; line 2 ; valid YAML
scale: smoke\n---\nscale: lite => params.yaml ; another document in line 2 ; valid YAML
--- !x\nscale: smoke => params.yaml ; the tag !x
%YAML 9.9\n---\nscale: smoke => params.yaml ; incompatible ; valid YAML
{"scale": "smoke", => params.yaml ; valid YAML
scale "smoke" => params.yaml ; 'str' ; a mapping of keys
42 => params.yaml ; 'int' ; a mapping of keys
true => params.yaml ; 'bool' ; a mapping of keys
[] => params.yaml ; 'list' ; a mapping of keys
"" => params.yaml ; 'str' ; a mapping of keys
<<: 3 => params.yaml ; valid YAML
"""
SPELLED = {"HASH": HASH, "LONG": "a" * 300, "TABLE": TABLE, "THOUSAND": str([*range(1001)])}
RAW = {  # bytes, for what no line above can hold
    "too large": (b"# " + b"x" * 300_000, ["300002 bytes", "at most 250000"]),
    "Latin-1": ("# \u00e9".encode("latin-1"), ["byte 0xe9 at place 2", "UTF-8"]),
    "UTF-16": ("scale: smoke".encode("utf-16"), ["byte 0xff at place 0", "UTF-8"]),
    "a control character": (b"scale: \x07", ["params.yaml", "valid YAML"]),
    "a zip file": (b"PK\x03\x04\x00\x00", ["params.yaml", "valid YAML"]),
    "deep lists": (b"a: " + b"[" * 5000, ["more than 40 levels", "at most 40"]),
    "deep mappings": (b"{a: " * 3000, ["more than 40 levels", "at most 40"]),
    "many aliases": (
        b"a: &a [1,1,1,1,1,1,1,1,1,1]\n"
        + b"".join(
            b"%c: &%c [%s]\n" % (new, new, b",".join([b"*%c" % old] * 10))
            for old, new in zip(b"abcde", b"bcdef", strict=True)
        ),
        ["too many values", "at most 50000"],
    ),
    "a long key": (b"k" * 900 + b": 1", ["no key is called", "(902 characters)"]),
    "a long value": (b"scale: " + b"v" * 900, ["no value is called", "(902 characters)"]),
    "forty methods in a sum": (
        f"{TABLE[:-3]}{'+'.join(f'm{n}' for n in range(40))}]}}]".encode(),
        ["tables, t", "method", "'m0'"],
    ),
}


def cases():
    """(bytes of params.yaml, parts of the line) by a name."""
    named = dict(RAW)
    for line in filter(None, LINES.splitlines()):
        content, _, parts = line.partition(" => ")
        for name, text in SPELLED.items():
            content = content.replace(name, text)
        content = content.replace("\\nscale", "\nscale").replace("\\n---", "\n---")
        content = content.replace("\\n seeds", "\n seeds").replace("\\nseeds", "\nseeds")
        content = content.replace("\\n\\tseeds", "\n\tseeds")
        if content.startswith("\\t"):
            content = "\t" + content[2:]
        named[line.partition(" => ")[0]] = content.encode(), parts.split(" ; ")
    return named
