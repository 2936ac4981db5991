"""mypy plugin: methods that notebooks attach to a class cell by cell, below `@patch` (vfjac.fields.patch) or as in
`Exercise.check = _check`, count as methods of the class."""

from mypy.nodes import Argument, AssignmentStmt, Decorator, FuncDef, MemberExpr, NameExpr, Var
from mypy.plugin import ClassDefContext, Plugin
from mypy.plugins.common import add_method_to_class
from mypy.types import AnyType, CallableType, TypeOfAny, UnboundType


def attached(module, owner):
    "Names and functions of the methods that a module attaches to the class `owner`."
    functions = {node.name: node for node in module.defs if isinstance(node, FuncDef)}
    for node in module.defs:
        if isinstance(node, Decorator) and node.func.arguments:
            first = node.func.arguments[0].type_annotation
            patch = any(isinstance(d, NameExpr) and d.name == "patch" for d in node.original_decorators)
            if patch and isinstance(first, UnboundType) and first.name == owner: yield node.name, node.func
        elif isinstance(node, AssignmentStmt):
            to, what = node.lvalues[0], node.rvalue
            if not isinstance(to, MemberExpr) or not isinstance(to.expr, NameExpr) or to.expr.name != owner: continue
            if isinstance(what, NameExpr) and what.name in functions: yield to.name, functions[what.name]


def add_attached(ctx: ClassDefContext) -> None:
    "Add them to the class, with their types."
    unknown = AnyType(TypeOfAny.special_form)
    for name, func in attached(ctx.api.modules[ctx.cls.info.module_name], ctx.cls.name):
        known = func.unanalyzed_type
        types = [unknown] * len(func.arguments)   # of the parameters but the first, and of the result
        if isinstance(known, CallableType): types = [*known.arg_types[1:], known.ret_type]
        types = [ctx.api.anal_type(t) for t in types]
        if None in types: return   # not known yet: mypy comes back
        parameters = [Argument(Var(a.variable.name, t), t, a.initializer, a.kind)
                      for a, t in zip(func.arguments[1:], types)]
        add_method_to_class(ctx.api, ctx.cls, name, parameters, types[-1])


class Attached(Plugin):
    def get_customize_class_mro_hook(self, fullname: str):
        return add_attached if fullname.startswith("vfjac.") else None


def plugin(version: str): return Attached
