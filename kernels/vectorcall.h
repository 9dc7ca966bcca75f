/* Types whose instances are called without making a tuple and a dictionary of the arguments first, which takes 80 ns.
Cython has no way to ask for them. See "The Vectorcall Protocol" in Python's documentation. */
#ifndef FASTMLP_VECTORCALL_H
#define FASTMLP_VECTORCALL_H

#include <Python.h>
#include <structmember.h>

/* A subclass. `offset` is where instances of `base` hold their vectorcallfunc. */
static PyObject *vectorcall_type(const char *name, PyTypeObject *base, Py_ssize_t offset)
{
    PyMemberDef members[] = {{"__vectorcalloffset__", T_PYSSIZET, offset, READONLY, NULL}, {NULL, 0, 0, 0, NULL}};
    PyType_Slot slots[] = {{Py_tp_members, members}, {Py_tp_call, (void *)PyVectorcall_Call}, {0, NULL}};
    PyType_Spec spec = {name, 0, 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL, slots};
    return PyType_FromSpecWithBases(&spec, (PyObject *)base);
}

#endif
